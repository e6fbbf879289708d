"""`BinanceDataCollector`, to subclass: see `data_collector.facade`."""

from data_collector.facade import DataCollector

__all__ = ["BinanceDataCollector"]


class BinanceDataCollector(DataCollector):
    """Collects from the exchange that is meant where none is named."""
