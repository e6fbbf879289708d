"""Suites as they are written: read strictly, with the columns and arguments that rules may name."""
