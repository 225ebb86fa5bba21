"""Images of one patient onto one another: a session's CT onto the base CT, and whether channels lie on their CT."""
