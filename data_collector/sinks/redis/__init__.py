"""The Redis sink: server-side compare-and-append, called in batches over one connection."""
