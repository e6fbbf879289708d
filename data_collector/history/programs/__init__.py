"""Files that other programs open as their own."""
