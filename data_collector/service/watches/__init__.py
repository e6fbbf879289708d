"""Parts that look at the feed and its surroundings, and tell what is wrong."""
