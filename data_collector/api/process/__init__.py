"""The HTTP process's side of the collector process: starting it, asking it, ending with it."""
