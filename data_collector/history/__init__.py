"""The past: what the database lacks, where it comes from, and whether the stores agree."""
