"""What is kept in memory and on disk until the store has it for good."""
