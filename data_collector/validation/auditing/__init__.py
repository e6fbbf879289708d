"""The collector's side of the audit: what was judged goes to real Great Expectations."""
