"""Brings a store up again that lost what it had acknowledged, was away for long, or is behind after a restart.

Life cycle: the repair asks it for one step of one lane at a time. Everything that was let through is in the retention
(`pipeline.retention`), or was dropped from it and is asked of the exchange by id. Nothing here is counted as a message.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from msgspec import structs

from data_collector.model.batch import Refusal, TradeRun
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.gaps import Gap
from data_collector.model.protocols import Gate, History
from data_collector.model.records import Trade
from data_collector.observe.counters import Counters
from data_collector.pipeline.lane import Lane
from data_collector.pipeline.ledger import Ledger
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.refusals import Refusals
from data_collector.pipeline.retention import Retention
from data_collector.pipeline.runs import runs_of

QUEUED_MAX = 100
"""Runs of a lane that wait for the pump before more are brought."""

READ_TRADES = 10_000
RETRY_FIRST_S = 0.25
RETRY_CAP_S = 30.0
DEADLINE_S = 600.0
"""So long without progress, and what the retention lacks is declared lost."""


class Limits:
    """How far back a store is filled."""

    def __init__(self, catch_up_s: int, trades_max: int) -> None:
        self.catch_up_s = catch_up_s
        self.trades_max = trades_max
        """What the store's streams keep: filling more would only be trimmed."""
