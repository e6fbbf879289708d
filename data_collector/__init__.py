"""Exchange market data into Redis: every trade and kline once, in order, digits intact."""

__version__ = "0.1.0"
