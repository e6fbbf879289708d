"""What `run` and `demo` show: what is up, what is not, and when there is something to see."""
