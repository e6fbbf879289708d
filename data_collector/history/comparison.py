"""Two sides of one series, held against each other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Literal, TypeVar

from msgspec import Struct, field

from data_collector.model.grid import Grid, joined
from data_collector.model.records import Kline, Trade
from data_collector.model.wire import open_time_text

Against = Literal["calendar", "live store", "exchange", "own trades"]
"""`calendar`: is there a candle for every open time, a trade for every id? The others have rows to compare with."""

EXAMPLES_MAX = 5

Row = TypeVar("Row", Kline, Trade)


class Check(Struct):
    """What one comparison of a series found."""

    series: str
    against: Against
    compared: int = 0
    """Rows that both sides have."""
    missing: int = 0
    """Rows that the database lacks."""
    doubled: int = 0
    differing: int = 0
    unknown: int = 0
    """Rows of the database that the other side lacks."""
    examples: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.doubled or self.differing or self.unknown)

    def example(self, text: str) -> None:
        """Keep a few."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)


class Faults(Struct):
    """Which rows are to be asked for again."""

    numbers: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def as_ranges(self, grid: Grid) -> list[tuple[int, int]]:
        """All of them, ascending, without overlap."""
        inside = [number for number in self.numbers if not any(first <= number <= last for first, last in self.ranges)]
        return joined(grid, sorted([*self.ranges, *((number, number) for number in inside)]))


def compare(
    check: Check,
    faults: Faults,
    ours: Mapping[int, Row],
    theirs: Mapping[int, Row],
    *,
    same: Callable[[Row, Row], bool],
    passed_over: Collection[int] = (),
) -> None:
    """Note in `check` and `faults` what differs; `passed_over` are numbers that only they need not have."""
    for number, row in theirs.items():
        mine = ours.get(number)
        if mine is None:
            check.missing += 1
            check.example(f"{place_of(row)} is missing")
            faults.numbers.add(number)
        elif not same(mine, row):
            check.compared += 1
            check.differing += 1
            check.example(f"{place_of(row)} is {brief(mine)} here and {brief(row)} there")
            faults.numbers.add(number)
        else:
            check.compared += 1
    for number in ours.keys() - theirs.keys():
        if number not in passed_over:
            check.unknown += 1
            check.example(f"{place_of(ours[number])} is unknown there")


def same_kline(mine: Kline, other: Kline) -> bool:
    """All that a candle tells, as numbers: zeros at the end mean nothing."""
    return mine.trades == other.trades and all(
        a == b or Decimal(a) == Decimal(b)
        for a, b in (
            (mine.open, other.open), (mine.high, other.high), (mine.low, other.low), (mine.close, other.close),
            (mine.volume, other.volume), (mine.quote_volume, other.quote_volume),
            (mine.taker_buy_base_volume, other.taker_buy_base_volume),
            (mine.taker_buy_quote_volume, other.taker_buy_quote_volume),
        )
    )  # fmt: skip


def same_prices(mine: Kline, other: Kline) -> bool:
    """What trades alone prove: four prices, volume, number of trades."""
    return mine.trades == other.trades and all(
        a == b or Decimal(a) == Decimal(b)
        for a, b in (
            (mine.open, other.open), (mine.high, other.high), (mine.low, other.low), (mine.close, other.close),
            (mine.volume, other.volume),
        )
    )  # fmt: skip


def same_trade(mine: Trade, other: Trade) -> bool:
    """Microseconds are not compared: one source may not have them."""
    return (
        mine.time_ms == other.time_ms
        and mine.is_buyer_maker == other.is_buyer_maker
        and Decimal(mine.price) == Decimal(other.price)
        and Decimal(mine.quantity) == Decimal(other.quantity)
    )


def by_open(klines: Iterable[Kline]) -> dict[int, Kline]:
    return {kline.open_ms: kline for kline in klines}


def by_id(trades: Iterable[Trade]) -> dict[int, Trade]:
    return {trade.trade_id: trade for trade in trades}


def place_of(row: Kline | Trade) -> str:
    """How people find it."""
    return open_time_text(row.open_ms) if isinstance(row, Kline) else f"trade {row.trade_id}"


def brief(row: Kline | Trade) -> str:
    """What it says, in short."""
    if isinstance(row, Kline):
        return f"{row.open}/{row.high}/{row.low}/{row.close} volume {row.volume} in {row.trades} trades"
    return f"{row.quantity} at {row.price}"
