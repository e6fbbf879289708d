"""`BinanceDataCollector`, to subclass: see `data_collector.facade`."""

from data_collector.facade import DataCollector

__all__ = ["BinanceDataCollector"]


class BinanceDataCollector(DataCollector):
    """Collects Binance spot."""
