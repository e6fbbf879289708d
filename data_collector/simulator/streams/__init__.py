"""The exchange's streaming side."""
