"""From the socket to the sink: lines, sequences, outlet, supervision. Knows no exchange by name."""
