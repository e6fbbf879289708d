"""Where each symbol goes on when collection begins: after what the store has, or after what we hold for it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from data_collector.model.protocols import TradeTail
from data_collector.pipeline.lane import Lane
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.retention import Retention


def resume(outlet: Outlet, retention: Retention, tails: Mapping[str, TradeTail | None]) -> None:
    """`tails` is what the store has of each symbol: see `Sink.tails`."""
    for lane in outlet.lanes.values():
        if lane.next_id >= 0:
            # Collection was stopped for a while; what waits here follows what the store has.
            lane.skips_old = True
        elif lane.symbol not in tails:
            _begin_anew(outlet, retention, lane)
        elif (tail := tails[lane.symbol]) is not None:
            _go_on(outlet, retention, lane, tail)


def _begin_anew(outlet: Outlet, retention: Retention, lane: Lane) -> None:
    """The store has nothing of it. If we hold something, then it was lost."""
    newest_id = retention.newest_id(lane.symbol)
    if newest_id is None:
        return
    structlog.get_logger().warning("store_wiped", symbol=lane.symbol, newest_id=newest_id)
    lane.origin_id = retention.oldest_id(lane.symbol) or 0
    lane.next_id = newest_id + 1
    lane.skips_old = True
    outlet.fall_behind(lane, None)


def _go_on(outlet: Outlet, retention: Retention, lane: Lane, tail: TradeTail) -> None:
    newest_id = retention.newest_id(lane.symbol)
    lane.origin_id = tail.first_id
    lane.skips_old = True
    lane.next_id = tail.last_id + 1
    if newest_id is not None and newest_id > tail.last_id:
        lane.next_id = newest_id + 1
        outlet.fall_behind(lane, tail.last_id + 1)
