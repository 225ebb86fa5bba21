"""What all pictures share: grey windows, colours, marks."""
