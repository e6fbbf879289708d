"""`backup` and `restore`: all that a service holds, as a folder."""
