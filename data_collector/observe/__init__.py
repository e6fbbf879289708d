"""Metrics, logs and health: how the service tells what it does."""
