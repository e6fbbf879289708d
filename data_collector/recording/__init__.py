"""What an exchange sent, kept as it came, and read again (docs/recording.md)."""
