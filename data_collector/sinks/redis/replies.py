"""What the functions of the server answer, taken apart."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.model.sink import KlineUpdate, TradeTail
from data_collector.sinks.redis.entries import entry_id


def trade_tail(told: Sequence[object]) -> TradeTail:
    """Of what `trades_end` in functions.lua answers; ids are `ms-trade id`."""
    last, epoch, oldest, oldest_epoch, newest = told
    end = entry_id(last)
    first_id = end.number + 1
    if oldest:
        first_id = entry_id(oldest).number if oldest_epoch == epoch else 0
    return TradeTail(first_id, end.number, int(str(epoch)), end.ms, entry_id(newest).number if newest else -1)


def is_refused(reply: object) -> bool:
    """Whether append_trades has done nothing: what it refused is not found to be ours."""
    return isinstance(reply, list) and reply[0] in ("FOREIGN", "GAP")


def due_or_none(due_ms: int) -> int | None:
    """append_klines says -1 when it has nothing of a series."""
    return due_ms if due_ms >= 0 else None


def explains(update: KlineUpdate, due_ms: int) -> bool:
    """Whether its gaps reach back to what the store must get next."""
    return bool(update.gaps) and 0 <= update.gaps[0].first <= due_ms < update.kline.open_ms
