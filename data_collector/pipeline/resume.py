"""Where each symbol goes on when collection begins: after what the store has, or after what we hold for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from data_collector.model.protocols import TradeTail
from data_collector.pipeline.lane import Lane
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.retention import Retention


def resume(
    outlet: Outlet, retention: Retention, tails: Mapping[str, TradeTail | None], lanes: Iterable[Lane] | None = None,
    *, was_filled: bool = False,
) -> None:  # fmt: skip
    """`tails` is what the store has of each symbol: see `Sink.tails`; `lanes` are those that begin (default: all).

    Where the store `was_filled` before, what it has nothing of was lost.
    """
    for lane in outlet.lanes.values() if lanes is None else lanes:
        # Where collection was only stopped for a while, what waits here follows what the store has.
        if lane.next_id < 0:
            if lane.symbol not in tails:
                lane.lost = was_filled
                _begin_anew(outlet, retention, lane)
            elif (tail := tails[lane.symbol]) is not None:
                _go_on(outlet, retention, lane, tail)
        lane.resumed_id = lane.next_id


def _begin_anew(outlet: Outlet, retention: Retention, lane: Lane) -> None:
    """The store has nothing of it. If we hold something, then it was lost."""
    oldest_id = retention.oldest_id(lane.symbol)
    if oldest_id is None:
        return
    lane.lost = False
    lane.next_id = retention.end_id(lane.symbol, oldest_id)
    structlog.get_logger().warning("store_wiped", symbol=lane.symbol, next_id=lane.next_id)
    outlet.fall_behind(lane, None)


def _go_on(outlet: Outlet, retention: Retention, lane: Lane, tail: TradeTail) -> None:
    """What we hold beyond a hole was never let through: it is read when its turn comes."""
    due_id = tail.last_id + 1
    retention.confirm(lane.symbol, tail.last_id)
    lane.origin_id = tail.first_id
    lane.next_id = retention.end_id(lane.symbol, due_id)
    if lane.next_id > due_id:
        outlet.fall_behind(lane, due_id)
