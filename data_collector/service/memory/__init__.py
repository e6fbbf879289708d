"""The process that answers what the market did after moments like a given one."""
