"""Holds a day of the store against the exchange's own, for `data-collector certify`."""
