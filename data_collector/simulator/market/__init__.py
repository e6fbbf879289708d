"""The market that is simulated: its trades, candles, book and statistics."""
