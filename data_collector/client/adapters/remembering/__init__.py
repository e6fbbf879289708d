"""What a memory of candles is made of: the file, the shapes of windows, and what followed them."""
