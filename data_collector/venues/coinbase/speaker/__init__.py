"""Coinbase Exchange's other end, for the simulator: what it sends and answers."""

from data_collector.venues.coinbase.speaker.speaker import SPEAKER

__all__ = ["SPEAKER"]
