"""An exchange of its own process, for demos and tests."""
