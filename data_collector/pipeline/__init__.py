"""From the socket to the sink: lines, arbiter, outlet, supervision. Knows no exchange by name."""
