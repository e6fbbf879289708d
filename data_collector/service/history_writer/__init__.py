"""The process that follows the store and writes to PostgreSQL, and the part that keeps it running."""
