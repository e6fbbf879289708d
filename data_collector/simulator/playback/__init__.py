"""A recording as an exchange that one can connect to."""
