"""`data-collector doctor`: each thing that a start needs, looked at."""
