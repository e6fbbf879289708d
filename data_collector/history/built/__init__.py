"""Candles that the exchange keeps no more, made of its trades."""
