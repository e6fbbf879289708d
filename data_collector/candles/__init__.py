"""Klines made of trades, by whoever has all trades of their time."""
