"""Kraken spot: its WebSocket v2 and its public REST side."""
