"""`data-collector suites`: rules checked, listed, explained and tried on recorded messages."""
