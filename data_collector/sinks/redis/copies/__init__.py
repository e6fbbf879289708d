"""Our keys as lines of a file: out of a store, and back into one."""
