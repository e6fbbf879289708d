"""What runs of trades are made of, and those not made in the flow: of what was spilled, or asked of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from msgspec import structs

from data_collector.model.gaps import Gap
from data_collector.model.gate import Verdict
from data_collector.model.records import Trade
from data_collector.model.sink import TradeRun
from data_collector.model.wire import json_text, trade_json, trade_time_text
from data_collector.pipeline.spool.spool import Spool

RUN_ENTRIES_MAX = 400
"""200 trades, two entries each: one call blocks the server for about 0.7 ms."""


def runs_of(
    symbol: str, trades: Iterable[Trade], check: Callable[[Trade], Verdict | None], *, epoch: int
) -> list[TradeRun]:  # fmt: skip
    """Runs of trades whose ids rise; each hole begins a new one. They have been judged: `check` tells their marks."""
    symbol_json = json_text(symbol)
    runs: list[TradeRun] = []
    run: TradeRun | None = None
    for trade in trades:
        if run is None or trade.trade_id != run.first_id + run.count or len(run.entries) >= RUN_ENTRIES_MAX:
            run = TradeRun(symbol, trade.trade_id, [], "", "", trade.received_ns, 0, epoch=epoch)
            runs.append(run)
        verdict = check(trade)
        run.entries += (
            entry_time(trade, () if verdict is None else verdict.warnings),
            trade_json(trade, symbol_json),
        )
        run.price, run.time_text = trade.price, trade_time_text(trade.time_ms, trade.sub_ms_us)
        run.newest_ns = trade.received_ns
    return runs


def parted(runs: Iterable[TradeRun], time_ms: int, epoch: int) -> tuple[list[TradeRun], list[TradeRun]]:
    """Runs of what happened before that time, and of what happened then or later, which is of that `epoch`."""
    before: list[TradeRun] = []
    after: list[TradeRun] = []
    for run in runs:
        times = (int(str(text).partition(" ")[0]) for text in run.entries[::2])
        count = next((index for index, each in enumerate(times) if each >= time_ms), run.count)
        if count or not run.count:
            before.append(structs.replace(run, entries=run.entries[: 2 * count]) if count < run.count else run)
        if count < run.count:
            first_id, entries = run.first_id + count, run.entries[2 * count :]
            after.append(
                structs.replace(run, first_id=first_id, entries=entries, refused={}, gaps=[], epoch=run.epoch + 1)
            )
    return before, after


def absent_ranges(trades: list[Trade], due_id: int) -> list[Gap]:
    """Ids from `due_id` on that one answer of the exchange leaves out between two that it holds."""
    gaps: list[Gap] = []
    for before, after in pairwise(trades):
        first, last = max(before.trade_id + 1, due_id), after.trade_id - 1
        if first <= last:
            gaps.append(Gap(first, last, last - first + 1, "absent"))
    return gaps


def entry_time(trade: Trade, warnings: tuple[str, ...]) -> int | str:
    """What stands before a trade's JSON in a run: its time in ms, then the rules that mark it, then its source."""
    source = "" if trade.received_ns else " rest"
    return f"{trade.time_ms} {','.join(warnings)}{source}" if warnings or source else trade.time_ms


class Gathering:
    """Puts small runs together before they go to the spool: a flush each millisecond makes runs of a trade or two.

    The outlet makes one and adds every run that ends; `flush` is called every few milliseconds (`Outlet.keep`), and
    before anything is read. What it holds between two flushes a power cut takes, as it takes what the disk has not
    synced.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._growing: dict[str, TradeRun] = {}

    def add(self, run: TradeRun) -> None:
        """Keep a run; it is shared with the store's side and stays as it is."""
        grown = self._growing.get(run.symbol)
        if grown is not None:
            if (
                run.first_id == grown.first_id + len(grown.entries) // 2
                and not (run.gaps or run.refused)
                and len(grown.entries) < RUN_ENTRIES_MAX
            ):
                grown.entries += run.entries
                grown.price, grown.time_text, grown.newest_ns = run.price, run.time_text, run.newest_ns
                return
            self._spool.append((grown,))
        if len(run.entries) >= RUN_ENTRIES_MAX:
            self._growing.pop(run.symbol, None)
            self._spool.append((run,))
        else:
            self._growing[run.symbol] = structs.replace(run, entries=run.entries.copy())

    def flush_one(self, symbol: str) -> None:
        """Hand over what has been gathered of one symbol, before it is read."""
        grown = self._growing.pop(symbol, None)
        if grown is not None:
            self._spool.append((grown,))

    def flush(self) -> None:
        """Hand over what has been gathered."""
        if self._growing:
            growing, self._growing = self._growing, {}
            self._spool.append(list(growing.values()))
