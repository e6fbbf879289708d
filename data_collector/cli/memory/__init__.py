"""`memory`: moments like now, and shapes of windows for PostgreSQL."""
