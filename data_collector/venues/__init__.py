"""The exchanges: one folder each, found by `data_collector.venues.discovery`."""
