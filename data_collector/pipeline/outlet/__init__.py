"""What waits for the store, and the pump that writes it."""
