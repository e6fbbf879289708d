"""How history and live streams are read, without any input or output."""
