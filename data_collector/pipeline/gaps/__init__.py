"""What became of each gap, and for how long one is tried to be filled."""
