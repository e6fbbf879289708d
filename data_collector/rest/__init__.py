"""What the request sides of all exchanges have in common: one client that knows its budget and obeys the limits."""
