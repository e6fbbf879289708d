"""What learning environments are made of: candles as arrays, features, episodes, a ledger. numpy alone."""
