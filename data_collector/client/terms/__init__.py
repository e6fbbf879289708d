"""What is asked for, in the words of users: series, times, positions, and what becomes of gaps."""
