"""The JSON of `/completeness` and `/gaps`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType

from data_collector.api.completeness.completeness import SeriesCount
from data_collector.model.keys import Collected, Key
from data_collector.model.status import HEAL_BOUNDS_S, GapsStatus, GapTotals
from data_collector.model.wire import number_told
from data_collector.web.answers import Answer


class Mark(Struct, frozen=True):
    """How entries of one exchange are told from those of others; nothing where it is alone."""

    exchange: str | UnsetType = UNSET
    prefix: str = ""
    """Of names that lead to it by themselves: ids and cursors."""


class HealTimes(Answer):
    """How long the gaps were open that have been healed, rounded up to a step: 0.05, 0.1, … 300, 600 s."""

    gaps: int
    p50_s: float | None
    p99_s: float | None
    max_s: float | None
    """Exact."""


class OpenGap(Answer):
    """A gap that is being repaired."""

    id: str
    """For `/gaps/{id}`."""
    missing: int
    open_s: float


class Series(Answer):
    """What lies in the store of one series, counted there."""

    first: int | str | None
    """Trade id or open time; null when nothing is stored."""
    last: int | str | None
    expected: int
    """Records from first to last."""
    held: int
    absent: int
    """The exchange says that it has none."""
    lost: int
    refused: int
    skipped: int
    unexplained: int
    """expected - held - absent - lost - refused - skipped; not 0 means that it is not proven."""
    proven: bool
    """Whether every record from first to last is held or declared."""
    percentage: float | None
    """100 x held / (expected - absent), rounded down to six decimals."""
    explanation: str
    """The counts behind `proven`, or which of them differs."""


class SymbolCompleteness(Answer):
    """One symbol: its trades, what became of its gaps, and its klines if asked for."""

    symbol: str
    epoch: int
    """In which the trades are that are counted: the newest. Ids of older ones may still lie in the store."""
    trades: Series
    healed: dict[str, int]
    """Trades that were missing and came, by source, since the collector process started."""
    healed_klines: dict[str, int]
    heal_time: HealTimes
    """Of gaps in trades."""
    open_gaps: list[OpenGap]
    klines: dict[str, Series] | None
    """By interval; null without `klines=1`."""
    exchange: str | UnsetType = UNSET
    """Where those of several exchanges are answered together."""


class CompletenessPage(Answer):
    """Symbols in the order of SYMBOLS."""

    example: ClassVar[Mapping[str, object]] = {
        "symbols": [
            {
                "symbol": "BTCUSDT",
                "epoch": 0,
                "trades": {
                    "first": 100,
                    "last": 1099,
                    "expected": 1000,
                    "held": 999,
                    "absent": 0,
                    "lost": 0,
                    "refused": 1,
                    "skipped": 0,
                    "unexplained": 0,
                    "proven": True,
                    "percentage": 99.9,
                    "explanation": "999 held + 1 declared in gaps: = 1,000 trades from first to last.",
                },
                "healed": {"rest": 12},
                "healed_klines": {},
                "heal_time": {"gaps": 1, "p50_s": 0.5, "p99_s": 0.5, "max_s": 0.41},
                "open_gaps": [],
                "klines": None,
            }
        ],
        "not_provable": ["ticker"],
        "next_cursor": None,
    }

    symbols: list[SymbolCompleteness]
    not_provable: list[Collected]
    """Channels that are collected and of which nothing tells what is missing: their numbers jump, the newest counts."""
    next_cursor: str | None
    """For the next page; null on the last one."""


class GapAnswer(Answer):
    """A range that is or was missing."""

    id: str
    symbol: str
    channel: Literal["trade", "kline"]
    interval: str | None
    first: int | str
    """Trade id, or open time."""
    last: int | str
    count: int
    state: Literal["open", "healed", "given_up", "declared"]
    """`declared`: `gaps:` has it, and the collector does not remember its life."""
    missing: int
    """Still waited for."""
    healed: dict[str, int]
    """Records that came, by source: `ws`, `rest`, `spool`, `built`."""
    given_up: dict[str, int]
    """Records that were passed over, by reason: `lost`, `refused`, `absent`, `skipped`."""
    rules: list[str]
    """Rules that the refused ones broke."""
    opened_at: str | None
    closed_at: str | None
    recorded_at: str | None
    """When `gaps:` got it."""
    epoch: int = 0
    """In which trade ids are unique."""
    exchange: str | UnsetType = UNSET
    """Where those of several exchanges are answered together; `id` begins with the prefix of its keys then."""


class GapPage(Answer):
    """Open ones, then the newest first."""

    count: int
    gaps: list[GapAnswer]


class GapEventAnswer(Answer):
    """One thing that happened to a gap."""

    at: str
    what: str
    text: str
    """What happened, in plain words."""
    times: int = 1
    """So often in a row."""
    until: str | None = None
    """When it happened last, if more than once."""


class GapStory(Answer):
    """One gap and its life, oldest event first."""

    gap: GapAnswer
    summary: str
    events: list[GapEventAnswer]
    events_left_out: int = 0
    """In the middle, of a gap with very many."""


def completeness_of(
    mark: Mark, symbol: str, trades: SeriesCount, klines: Mapping[str, SeriesCount] | None, known: GapsStatus
) -> SymbolCompleteness:
    """What the store holds of a symbol, with what the collector remembers of its gaps."""
    totals = {each.channel: each for each in known.totals if each.symbol == symbol}
    of_trades = totals.get("trade", GapTotals(symbol, "trade"))
    newest_s = known.open[0].opened_at_s + known.oldest_open_s if known.open else 0.0
    return SymbolCompleteness(
        symbol=symbol,
        epoch=trades.epoch,
        trades=_series(trades, Key("trade", symbol)),
        healed=of_trades.healed,
        healed_klines=totals["kline"].healed if "kline" in totals else {},
        heal_time=_heal_times(of_trades),
        open_gaps=[
            OpenGap(id=f"{mark.prefix}{life.id}", missing=life.missing, open_s=round(newest_s - life.opened_at_s, 3))
            for life in known.open
            if life.key.symbol == symbol
        ],
        klines=None
        if klines is None
        else {interval: _series(count, Key("kline", symbol, interval)) for interval, count in klines.items()},
        exchange=mark.exchange,
    )


def _series(count: SeriesCount, key: Key) -> Series:
    return Series(
        first=None if count.first is None else number_told(key, count.first),
        last=None if count.last is None else number_told(key, count.last),
        expected=count.expected,
        held=count.held,
        absent=count.declared.get("absent", 0),
        lost=count.declared.get("lost", 0),
        refused=count.declared.get("refused", 0),
        skipped=count.declared.get("skipped", 0),
        unexplained=count.unexplained,
        proven=count.is_proven,
        percentage=count.percentage,
        explanation=count.explanation(key.unit),
    )


def _heal_times(totals: GapTotals) -> HealTimes:
    gaps = sum(totals.heal_counts)
    longest_s = round(totals.heal_longest_s, 3) if gaps else None
    return HealTimes(gaps=gaps, p50_s=_within(totals, 0.50), p99_s=_within(totals, 0.99), max_s=longest_s)


def _within(totals: GapTotals, share: float) -> float | None:
    """The step within which such a share of the gaps was healed; never above the longest."""
    gaps = sum(totals.heal_counts)
    if gaps == 0:
        return None
    bounds = (*HEAL_BOUNDS_S, totals.heal_longest_s)
    reached = next(b for b, n in zip(bounds, accumulate(totals.heal_counts), strict=True) if n >= share * gaps)
    return round(min(reached, totals.heal_longest_s), 3)
