"""Klines and trades as pages: out of Redis and PostgreSQL, as JSON, CSV or Arrow."""
