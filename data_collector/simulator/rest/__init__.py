"""The exchange's REST side, and the files that it publishes."""
