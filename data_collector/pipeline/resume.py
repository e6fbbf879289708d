"""Where each symbol goes on when collection begins: after what the store has, or after what we hold for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from data_collector.model.protocols import TradeTail
from data_collector.pipeline.outlet import Outlet
from data_collector.pipeline.spool import Spool
from data_collector.pipeline.trade_sequence import TradeSequence


def resume(
    sequences: Iterable[TradeSequence], outlet: Outlet, retention: Spool, tails: Mapping[str, TradeTail | None],
    *, was_filled: bool = False,
) -> None:  # fmt: skip
    """`tails` is what the store has of each symbol: see `Sink.tails`.

    Where the store `was_filled` before, what it has nothing of was lost.
    """
    for sequence in sequences:
        symbol, next_id = sequence.symbol, sequence.next_id
        # Where collection was only stopped for a while, what waits here follows what the store has.
        if next_id < 0:
            if symbol not in tails:
                next_id = _begin_anew(symbol, outlet, retention, was_filled=was_filled)
            elif (tail := tails[symbol]) is not None:
                next_id = _go_on(symbol, outlet, retention, tail)
        sequence.resume(next_id)


def _begin_anew(symbol: str, outlet: Outlet, retention: Spool, *, was_filled: bool) -> int:
    """The store has nothing of it. If we hold something, then it was lost."""
    oldest_id = retention.oldest_id(symbol)
    if oldest_id is None:
        outlet.resume(symbol, -1, lost=was_filled)
        return -1
    next_id = retention.end_id(symbol, oldest_id)
    structlog.get_logger().warning("store_wiped", symbol=symbol, next_id=next_id)
    outlet.resume(symbol, next_id)
    outlet.fall_behind(symbol, None)
    return next_id


def _go_on(symbol: str, outlet: Outlet, retention: Spool, tail: TradeTail) -> int:
    """What we hold beyond a hole was never let through: it is read when its turn comes."""
    due_id = tail.last_id + 1
    retention.confirm(symbol, tail.last_id)
    next_id = retention.end_id(symbol, due_id)
    outlet.resume(symbol, next_id, origin_id=tail.first_id)
    if next_id > due_id:
        outlet.fall_behind(symbol, due_id)
    return next_id
