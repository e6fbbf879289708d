"""Where each symbol goes on when collection begins: after what the store has, or after what we hold for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from data_collector.model.sink import TradeTail
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.outlet.symbol_queue import SymbolQueue
from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.pipeline.spool.spool import Spool

EVERY_FIRST: Mapping[str, int] = {}
NONE_RAN_PAST: Mapping[str, Mapping[int, int]] = {}


def resume(
    sequences: Iterable[TradeSequence], outlet: Outlet, spool: Spool, tails: Mapping[str, TradeTail | None],
    *, was_filled: bool = False, epochs: Mapping[str, int] = EVERY_FIRST,
    ended_ms: Mapping[str, Mapping[int, int]] = NONE_RAN_PAST,
) -> None:  # fmt: skip
    """Tell sequences and outlet.

    `tails` is what the store has of each symbol: see `Sink.tails`. Where the store `was_filled` before, what it has
    nothing of was lost. `epochs` are those that are known beside the store and the spool, `ended_ms` as in a queue.
    """
    for sequence in sequences:
        symbol, next_id = sequence.symbol, sequence.next_id
        # Where collection was only stopped for a while, what waits here follows what the store has.
        if next_id >= 0:
            continue
        tail = tails.get(symbol)
        queue = outlet.queues[symbol]
        queue.ended_ms |= ended_ms.get(symbol, {})
        queue.epoch = max(epochs.get(symbol, 0), spool.newest_epoch(symbol), 0 if tail is None else tail.epoch)
        if symbol not in tails:
            next_id = _begin_anew(queue, outlet, spool, was_filled=was_filled)
        elif tail is not None:
            next_id = (_go_on if tail.epoch == queue.epoch else _end_former)(queue, outlet, spool, tail)
        newest_ms, stored_id = (0, -1) if tail is None else (tail.last_ms, tail.stored_id)
        if tail is not None and tail.epoch < queue.epoch:
            stored_id = -1
        sequence.resume(next_id, epoch=queue.epoch, newest_ms=newest_ms, stored_id=stored_id)


def _begin_anew(queue: SymbolQueue, outlet: Outlet, spool: Spool, *, was_filled: bool) -> int:
    """The store has nothing of it. If we hold something, then it was lost."""
    symbol, oldest_id = queue.symbol, spool.oldest_id(queue.place)
    if oldest_id is None:
        outlet.resume(symbol, -1, lost=was_filled)
        return -1
    next_id = spool.end_id(queue.place, oldest_id)
    structlog.get_logger().warning("store_wiped", symbol=symbol, next_id=next_id)
    outlet.resume(symbol, next_id)
    outlet.fall_behind(symbol, None)
    return next_id


def _end_former(queue: SymbolQueue, outlet: Outlet, spool: Spool, tail: TradeTail) -> int:
    """The store is in an epoch that is over: what we hold of that comes first."""
    oldest_id = spool.oldest_id(queue.place)
    next_id = -1 if oldest_id is None else spool.end_id(queue.place, oldest_id)
    outlet.resume(queue.symbol, next_id)
    outlet.fall_behind(queue.symbol, tail.last_id + 1, tail.epoch)
    return next_id


def _go_on(queue: SymbolQueue, outlet: Outlet, spool: Spool, tail: TradeTail) -> int:
    """What we hold beyond a hole was never let through: it is read when its turn comes."""
    symbol, due_id = queue.symbol, tail.last_id + 1
    spool.confirm(queue.place, tail.last_id)
    next_id = spool.end_id(queue.place, due_id)
    outlet.resume(symbol, next_id, origin_id=tail.first_id)
    if next_id > due_id:
        outlet.fall_behind(symbol, due_id)
    return next_id
