"""Coinbase Exchange: its WebSocket feed and its public REST side."""
