"""What is there and what is not: completeness, gaps and their lives."""
