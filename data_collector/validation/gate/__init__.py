"""The rules in force, compiled into one function a kind of record."""
