"""Measurements of the whole service, each of them one run of real processes: `make bench`."""
