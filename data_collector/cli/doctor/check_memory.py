"""What `doctor` tells about Market Memory."""

from __future__ import annotations

from importlib.util import find_spec

from data_collector.cli.doctor.finding import Finding
from data_collector.service.memory.messages import SERIES_MAX
from data_collector.settings import Settings


def check_memory(settings: Settings) -> list[Finding]:
    """For `MEMORY=1`. Without it the service works as well, so nothing of it is a failure."""
    if not settings.memory:
        return []
    if find_spec("numpy") is None:
        cure = "pip install 'btc-data-collector[service]' brings it. Until then GET /similar is answered 503."
        return [Finding("memory", "warn", "MEMORY=1 needs numpy, which is not installed", cure)]
    if "kline" not in settings.channels:
        cure = "Add kline to CHANNELS, or leave MEMORY out. Until then GET /similar is answered 409."
        return [Finding("memory", "warn", "MEMORY=1 remembers candles, and CHANNELS has no kline", cure)]
    count = len(settings.symbols)
    seen = "the candles of all symbols are remembered from the start"
    if count > SERIES_MAX:
        seen = f"the candles of the first {SERIES_MAX} of {count:,} symbols are remembered, of others when asked for"
    return [Finding("memory", "ok", seen)]
