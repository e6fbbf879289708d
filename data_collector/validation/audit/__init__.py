"""The audit: real Great Expectations over batches, in a process of its own. Only this package imports it, or pandas."""
