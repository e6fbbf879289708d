"""Which records may pass."""
