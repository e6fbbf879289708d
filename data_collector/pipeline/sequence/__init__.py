"""Each record once and in order: from what a message holds to what waits for the store."""
