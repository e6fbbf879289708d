"""Two sides of one series, held against each other, one of which may be klines made of stored trades. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from data_collector.history.ports import LiveRows
from data_collector.model.gaps import Gap
from data_collector.model.grid import UNEXPLAINED, Grid, IdGrid, crossing, disjoint, explained, joined, without
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Row, Trade, same_moment, same_number
from data_collector.model.wire import open_time_text

Against = Literal["calendar", "live store", "exchange", "own trades"]
"""`calendar`: is there a kline for every open time, a trade for every id? The others have rows to compare with."""

EXAMPLES_MAX = 5

CONTRADICTING = "; validation refused that one ({rules}), so the stored row, which contradicts it, stays"

SAME_TIME_MS = 1_000
"""A trade that two sides tell with times further apart is not the same one."""

Range = tuple[int, int]
"""Closed."""


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
    refused: int = 0
    """Rows that the database lacks because validation refused them: declared, and no difference."""
    refused_by: dict[str, int] = field(default_factory=dict)
    """Rule to rows that broke it; a row may break several."""
    absent: int = 0
    """Rows that the database lacks because the exchange itself does not have them: proven and recorded."""
    examples: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.doubled or self.differing or self.unknown)

    def note_refused(self, gap: Gap, count: int) -> None:
        """So many rows of a refused range are not there."""
        self.refused += count
        for rule in gap.rules:
            self.refused_by[rule] = self.refused_by.get(rule, 0) + count

    def example(self, text: str) -> None:
        """Keep a few."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)


def check_of_live(label: str, live: LiveRows) -> Check:
    """Against the live store, with what can be told before rows are compared."""
    check = Check(label, "live store", doubled=live.doubled, unknown=live.foreign)
    if live.foreign:
        check.example(f"entries of the live store that no collector has written: {live.foreign:,}")
    return check


class RefusedRows:
    """Which numbers of a series were refused: live feed and history may have declared the same ones."""

    def __init__(self, grid: Grid, gaps: Iterable[Gap]) -> None:
        self.gaps = disjoint(grid, (gap for gap in gaps if gap.reason == "refused"))

    def of(self, number: int) -> Gap | None:
        """The range that a number lies in."""
        return next(iter(crossing(self.gaps, number, number)), None)


NONE_REFUSED = RefusedRows(IdGrid(), ())


class FaultyRows(Struct):
    """Which rows are to be asked for again."""

    numbers: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def leave_others(self, ours: Mapping[int, Trade], theirs: Mapping[int, Trade]) -> None:
        """A trade of another time is another trade, which may not take the place of ours."""
        self.numbers -= {number for number in ours.keys() & theirs if not is_same_time(ours[number], theirs[number])}

    def as_ranges(self, grid: Grid) -> list[tuple[int, int]]:
        """All of them, ascending, without overlap."""
        inside = [number for number in self.numbers if not any(first <= number <= last for first, last in self.ranges)]
        return joined(grid, sorted([*self.ranges, *((number, number) for number in inside)]))


class SeriesAudit(Struct):
    """What was found of one series."""

    series: Key
    checks: list[Check]
    faults: FaultyRows
    refused: RefusedRows
    absent: Sequence[Gap]
    """Recorded as what the exchange itself does not have."""
    unfounded: list[int] = field(default_factory=list)
    """Open times of candles without trades that were built, and of which the exchange proves to have none."""
    proven: Sequence[Gap] = ()
    """Neither here nor at the exchange, as it proves, and not recorded yet."""

    @property
    def is_clean(self) -> bool:
        return all(check.is_clean for check in self.checks)

    def left_to_exchange(self) -> list[Range]:
        """What the calendar misses may not exist: the exchange is asked about these."""
        calendar, holes = self.checks[0], self.faults.ranges.copy()
        if calendar.missing:
            calendar.note = f"{calendar.missing:,} are not there, see the exchange"
        calendar.missing = 0
        calendar.examples.clear()
        self.faults.ranges.clear()
        return holes


def compare(
    check: Check,
    faults: FaultyRows,
    ours: Mapping[int, Row],
    theirs: Mapping[int, Row],
    *,
    same: Callable[[Row, Row], bool],
    passed_over: Collection[int] = (),
    refused: RefusedRows = NONE_REFUSED,
) -> None:
    """Note in `check` and `faults` what differs; `passed_over` are numbers that only they need not have."""
    for number, row in theirs.items():
        mine = ours.get(number)
        if mine is not None and same(mine, row):
            check.compared += 1
            continue
        gap = refused.of(number)
        if mine is not None:
            check.compared += 1
            check.differing += 1
            stays = "" if gap is None else CONTRADICTING.format(rules=", ".join(gap.rules))
            check.example(f"{place_of(row)} is {brief(mine)} here and {brief(row)} there{stays}")
            faults.numbers.add(number)
        elif gap is not None:
            check.note_refused(gap, 1)
        else:
            check.missing += 1
            check.example(f"{place_of(row)} is missing")
            faults.numbers.add(number)
    for number in ours.keys() - theirs.keys():
        if number not in passed_over:
            check.unknown += 1
            check.example(f"{place_of(ours[number])} is unknown there")


def without_explained(
    check: Check, grid: Grid, holes: Sequence[tuple[int, int]], absent: Sequence[Gap], refused: RefusedRows
) -> Sequence[tuple[int, int]]:  # fmt: skip
    """Of holes, given as closed ranges, what is neither absent at the exchange nor refused; what is so is noted."""
    there: list[tuple[int, int]] = []
    for first, last in holes:
        for piece in explained(grid, first, grid.following(last), absent):
            if piece.reason == UNEXPLAINED:
                there.append((piece.first, piece.last))
            else:
                check.absent += piece.count
    for first, last in there:
        until = grid.following(last)
        for gap in crossing(refused.gaps, first, last):
            check.note_refused(gap, grid.span(max(gap.first, first), min(grid.following(gap.last), until))[1])
    return without(grid, there, refused.gaps)


class AbsentRows:
    """What the exchange proves not to have: all that lies between two rows that it told one after the other."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._gaps: list[Gap] = []
        self._before: int | None = None

    def take(self, numbers: Iterable[int], settled: int) -> None:
        """An answer, ascending, and later ones go on where it ended; behind `settled` rows may still come."""
        for number in numbers:
            first = number if self._before is None else self._grid.following(self._before)
            if first < number <= settled:
                self._gaps.append(Gap(first, *self._grid.span(first, number), "absent"))
            self._before = number

    def begin_anew(self) -> None:
        """What comes next does not go on where the answer before ended."""
        self._before = None

    def settle(self, calendar: Check, exchange: Check, faults: FaultyRows, holes: Iterable[Range]) -> list[Gap]:
        """What of the holes is proven to be absent; what nothing proves, and nobody told of, is missing."""
        absent: list[Gap] = []
        told = sorted(faults.numbers)
        for first, last in holes:
            for piece in explained(self._grid, first, self._grid.following(last), crossing(self._gaps, first, last)):
                if piece.reason != UNEXPLAINED:
                    calendar.absent += piece.count
                    absent.append(Gap(piece.first, piece.last, piece.count, "absent"))
                    continue
                untold = piece.count - (bisect_right(told, piece.last) - bisect_left(told, piece.first))
                if untold:
                    exchange.missing += untold
                    exchange.example(f"{untold:,} are not there, and its answers do not prove that it has none")
                    faults.ranges.append((piece.first, piece.last))
        return absent


def same_kline(mine: Kline, other: Kline) -> bool:
    """All that the other one tells, as numbers: zeros at the end mean nothing."""
    return same_prices(mine, other) and all(
        _agrees(a, b)
        for a, b in (
            (mine.trades, other.trades),
            (mine.quote_volume, other.quote_volume),
            (mine.taker_buy_base_volume, other.taker_buy_base_volume),
            (mine.taker_buy_quote_volume, other.taker_buy_quote_volume),
        )
    )


def same_prices(mine: Kline, other: Kline) -> bool:
    """What trades alone prove: four prices, volume, number of trades."""
    return (mine.trades is None or _agrees(mine.trades, other.trades)) and all(
        _agrees(a, b)
        for a, b in (
            (mine.open, other.open), (mine.high, other.high), (mine.low, other.low), (mine.close, other.close),
            (mine.volume, other.volume),
        )
    )  # fmt: skip


def _agrees(mine: str | int | None, other: str | int | None) -> bool:
    """Whether what the other side tells is here as well; what it does not tell is no difference."""
    return other is None or (mine is not None and same_number(mine, other))


def same_trade(mine: Trade, other: Trade) -> bool:
    """Microseconds are not compared: one source may not have them."""
    return (
        same_moment(mine, other)
        and other.is_buyer_maker in (None, mine.is_buyer_maker)
        and _agrees(mine.price, other.price)
        and _agrees(mine.quantity, other.quantity)
    )


def is_same_time(mine: Trade, other: Trade) -> bool:
    return abs(mine.time_ms - other.time_ms) <= SAME_TIME_MS


def by_open(klines: Iterable[Kline]) -> dict[int, Kline]:
    return {kline.open_ms: kline for kline in klines}


def by_id(trades: Iterable[Trade]) -> dict[int, Trade]:
    return {trade.trade_id: trade for trade in trades}


def place_of(row: Kline | Trade) -> str:
    """How people find it."""
    return open_time_text(row.open_ms) if isinstance(row, Kline) else f"trade {row.trade_id}"


def is_empty(kline: Kline) -> bool:
    """Nothing was traded in it."""
    return kline.trades == 0 and float(kline.volume) == 0


def brief(row: Kline | Trade) -> str:
    """What it says, in short."""
    if isinstance(row, Kline):
        return f"{row.open}/{row.high}/{row.low}/{row.close} volume {row.volume}{_trades_told(row.trades)}"
    return f"{row.quantity} at {row.price}"


def _trades_told(count: int | None) -> str:
    return "" if count is None else f" in {count} trades"
