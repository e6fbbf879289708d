"""Brings what is missing: in the feed, in the store, at a start and while another collector writes."""
