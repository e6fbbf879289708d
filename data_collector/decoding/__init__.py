"""What frames of several exchanges have in common: how numbers and times are written, books told by their changes."""
