"""What spans the stages: the demo. Nothing imports this room; it alone may import stages."""
