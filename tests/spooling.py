"""Runs of trades whose every text tells what it is, and spools that hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from data_collector.model.batch import Refusal, TradeRun
from data_collector.model.gaps import Gap
from data_collector.observe.counters import Counters
from data_collector.pipeline.spool.segment_writer import DiskCalls
from data_collector.pipeline.spool.spool import Spool, SpoolLimits
from tests.market import NOON_MS, SYMBOL

REFUSAL = Refusal("{}", "[]", "2024-01-01T12:00:00.000Z", "{}", ("rule",))


def trade_text(symbol: str, trade_id: int) -> str:
    """What stands for the JSON of one trade."""
    return f"{symbol} {trade_id}"


def run_of(first_id: int, count: int = 1, *, symbol: str = SYMBOL, gap: int = 0) -> TradeRun:
    """`count` trades from `first_id` on, after `gap` ids that the run explains."""
    entries: list[int | str] = []
    for trade_id in range(first_id, first_id + count):
        entries += (NOON_MS + trade_id, trade_text(symbol, trade_id))
    gaps = [Gap(first_id - gap, first_id - 1, gap, "lost")] if gap else []
    return TradeRun(symbol, first_id, entries, "1", "", 1, 2, {}, gaps)


def ids_of(runs: Sequence[TradeRun], symbol: str = SYMBOL) -> list[int]:
    """The traded ids, after a look at each run: every text is that of its id, and only what is explained is missing."""
    ids: list[int] = []
    due = runs[0].start_id if runs else 0
    for run in runs:
        assert run.symbol == symbol
        assert run.start_id == due, "a run follows the one before it"
        position = due
        for gap in run.gaps:
            assert (gap.first, gap.count) == (position, gap.last - gap.first + 1)
            position = gap.last + 1
        assert position == run.first_id
        expected = [trade_text(symbol, trade_id) for trade_id in range(run.first_id, run.first_id + run.count)]
        assert run.entries[1::2] == expected
        assert run.entries[0::2] == [NOON_MS + trade_id for trade_id in range(run.first_id, run.first_id + run.count)]
        ids += range(run.first_id, run.first_id + run.count)
        due = run.first_id + run.count
    return ids


@asynccontextmanager
async def open_spool(
    folder: Path | None,
    *,
    symbols: Collection[str] = (SYMBOL,),
    limits: SpoolLimits | None = None,
    calls: DiskCalls | None = None,
    counters: Counters | None = None,
) -> AsyncIterator[Spool]:
    """A spool without upkeep, which writes what it was given at the end at the latest."""
    spool = Spool(folder, counters or Counters(), symbols=symbols, limits=limits, calls=calls)
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()
