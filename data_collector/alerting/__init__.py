"""What is worth waking somebody for: declared once, asked of the metrics, told to people."""
