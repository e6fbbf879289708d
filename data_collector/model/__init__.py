"""What every layer speaks: records, keys, gaps, status, errors. Imports nothing of ours."""
