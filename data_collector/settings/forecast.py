"""How large the store will grow with given settings, told before it happens."""

from __future__ import annotations

from data_collector.model.channels import CHANNELS
from data_collector.settings.fields import Settings

KLINE_KEY_BYTES = 430
"""Measured with `python -m benchmarks.store_memory`, rounded up."""

SYMBOL_BYTES = 4096
"""`latest:`, state and the first nodes of each stream."""

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000}


def expected_store_bytes(settings: Settings) -> int:
    """Memory of the store once every stream is full; quarantine, gaps and late records come on top, if any."""
    per_symbol = SYMBOL_BYTES
    for name, channel in CHANNELS.items():
        if name in settings.channels and channel.stream is not None:
            per_symbol += settings.maxlen(channel.maxlen) * channel.entry_bytes
    if "kline" in settings.channels:
        per_symbol += _kline_keys(settings) * KLINE_KEY_BYTES
    return per_symbol * len(settings.symbols)


def _kline_keys(settings: Settings) -> int:
    """How many `kline:` keys of a symbol have not expired yet; at least the current one per interval."""
    return sum(
        settings.kline_ttl_s(interval) // (int(interval[:-1]) * _UNIT_S[interval[-1]]) + 1
        for interval in settings.intervals
    )
