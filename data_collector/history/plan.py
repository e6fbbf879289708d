"""What a backfill would ask for: from what is missing to requests, rows, weight and time. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct, structs

from data_collector.model.grid import Grid, Hole
from data_collector.model.keys import Key
from data_collector.model.venue import Venue

MINUTE_S = 60.0


class Calls(Struct, frozen=True):
    """What the exchange gives of a series in one answer, and what that takes of its budget and of time."""

    rows: int
    weight: int
    seconds: float

    @property
    def new_rows(self) -> int:
        """Each answer begins with a row that is known: only what lies between two rows of one is proven absent."""
        return self.rows - 1

    def count(self, rows: int) -> int:
        """How many bring so many rows in a row."""
        return -(-rows // self.new_rows)


def calls_of(series: Key, venue: Venue) -> Calls:
    """Those about one series."""
    reach, cost = venue.reach, venue.cost
    if series.channel == "trade":
        return Calls(reach.trades_per_answer, cost.trades, cost.seconds_per_call)
    return Calls(reach.klines_per_answer, cost.klines, cost.seconds_per_call)


class Stretch(Struct, frozen=True):
    """What is asked for in one go: one or more holes that lie close together."""

    first: int
    last: int
    holes: tuple[Hole, ...]
    requests: int

    def wants(self, number: int) -> bool:
        """Whether it lies in one of the holes."""
        position = bisect_right(self.holes, number, key=lambda hole: hole.first) - 1
        return position >= 0 and number <= self.holes[position].last

    def overlap(self, first: int, last: int) -> list[tuple[int, int]]:
        """What of a closed range, the ends of which are numbers of the series, lies in holes."""
        pairs = ((max(first, hole.first), min(last, hole.last)) for hole in self.holes)
        return [(begin, end) for begin, end in pairs if begin <= end]


class SeriesPlan(Struct, frozen=True):
    """All that is missing of one series."""

    series: Key
    stretches: tuple[Stretch, ...] = ()
    requests: int = 0
    weight: int = 0
    """Of all requests."""
    seconds: float = 0.0
    """Of all requests, one after the other."""
    refusal: str | None = None
    """Why the database cannot even be asked about it."""

    def wants(self, number: int) -> bool:
        """Whether it lies in one of the holes."""
        position = bisect_right(self.stretches, number, key=lambda stretch: stretch.first) - 1
        return position >= 0 and self.stretches[position].wants(number)

    @property
    def rows(self) -> int:
        return sum(hole.count for stretch in self.stretches for hole in stretch.holes)

    def costs(self, *asked: tuple[int, Calls]) -> SeriesPlan:
        """The same, by so many answers of each kind."""
        return structs.replace(
            self,
            requests=sum(count for count, _ in asked),
            weight=sum(count * calls.weight for count, calls in asked),
            seconds=sum(count * calls.seconds for count, calls in asked),
        )


class Plan(Struct, frozen=True):
    """All series."""

    series: tuple[SeriesPlan, ...]

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.series)

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.series)

    @property
    def weight(self) -> int:
        return sum(each.weight for each in self.series)

    def seconds(self, weight_per_minute: int, used: int = 0) -> float:
        """About how long it takes; `used` is what the running minute has seen already, the collector's calls too."""
        minutes_waited = max(0, -(-(self.weight + used) // weight_per_minute) - 1) if self.requests else 0
        return max(minutes_waited * MINUTE_S, sum(each.seconds for each in self.series))


def plan_series(series: Key, missing: Sequence[tuple[int, int]], grid: Grid, calls: Calls) -> SeriesPlan:
    """From the first and last missing number of each hole, ascending; holes are joined where that saves requests."""
    stretches: list[Stretch] = []
    for first, last in missing:
        hole = Hole(first, *grid.span(first, grid.following(last)))
        alone = calls.count(hole.count)
        before = stretches[-1] if stretches else None
        if before is not None:
            joined = calls.count(grid.span(before.first, grid.following(last))[1])
            # Ties join: fewer stretches are fewer answers that end in the middle of nothing.
            if joined <= before.requests + alone:
                stretches[-1] = Stretch(before.first, last, (*before.holes, hole), joined)
                continue
        stretches.append(Stretch(first, last, (hole,), alone))
    requests = sum(stretch.requests for stretch in stretches)
    return SeriesPlan(series, tuple(stretches)).costs((requests, calls))
