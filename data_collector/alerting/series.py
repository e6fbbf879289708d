"""The newest samples of what alerts read, as far as they look back, as Prometheus would have scraped them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, TypeAlias

from msgspec import Struct

from data_collector.alerting.promql import Selector

LOOKBACK_S: Final = 300.0
"""A value so old is none any more; Prometheus has the same."""

SERIES_MAX: Final = 2000
"""Of all names; labels come from closed sets, so only a bug makes as many. Further ones are left out, and counted."""

SAMPLES_MAX: Final = 4096
"""Of one series: more than the longest range holds."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted by name."""


class Point(Struct, frozen=True, array_like=True):
    """One sample; `value` is None where the series had gone from the page."""

    at_s: float
    value: float | None


class KeptSeries(Struct, array_like=True):
    """For the file that outlives the process."""

    name: str
    labels: Labels
    points: list[Point]


class SeriesTable:
    """By name and labels. What is older than anybody asks for is dropped."""

    def __init__(self, wanted: Iterable[Selector]) -> None:
        """`wanted` is all that will ever be selected."""
        self._keep_s: dict[str, float] = {}
        for each in wanted:
            back_s = each.offset_s + (each.range_s or 0.0) + LOOKBACK_S
            self._keep_s[each.name] = max(back_s, self._keep_s.get(each.name, 0.0))
        self._of: dict[str, dict[Labels, deque[Point]]] = {name: {} for name in self._keep_s}
        self.left_out = 0

    def add(self, at_s: float, page: Iterable[tuple[str, Mapping[str, str], float]]) -> None:
        """One scrape: name, labels and value of all there is; a series that is not in it has gone."""
        seen: set[tuple[str, Labels]] = set()
        for name, labels, value in page:
            if name in self._keep_s:
                key = tuple(sorted(labels.items()))
                seen.add((name, key))
                self._append(name, key, Point(at_s, value))
        for name, of in self._of.items():
            for key, points in list(of.items()):
                if (name, key) not in seen and points[-1].value is not None:
                    points.append(Point(at_s, None))
                while points and points[0].at_s <= at_s - self._keep_s[name]:
                    points.popleft()
                if not points:
                    del of[key]

    def newest(self, selector: Selector, now_s: float) -> dict[Labels, float]:
        """The value of each series, as of `offset_s` ago."""
        at_s = now_s - selector.offset_s
        found = {}
        for labels, points in self._selected(selector):
            last = next((each for each in reversed(points) if each.at_s <= at_s), None)
            if last is not None and last.value is not None and last.at_s > at_s - LOOKBACK_S:
                found[labels] = last.value
        return found

    def ranges(self, selector: Selector, now_s: float) -> dict[Labels, list[tuple[float, float]]]:
        """Times and values of each series within `range_s` until `offset_s` ago; the beginning is not within."""
        end_s = now_s - selector.offset_s
        begin_s = end_s - (selector.range_s or 0.0)
        found = {}
        for labels, points in self._selected(selector):
            inside = [(p.at_s, p.value) for p in points if begin_s < p.at_s <= end_s and p.value is not None]
            if inside:
                found[labels] = inside
        return found

    def kept(self, names: Iterable[str]) -> list[KeptSeries]:
        """Of these names, each change of value alone."""
        found = []
        for name in names:
            for labels, points in self._of.get(name, {}).items():
                pairs = zip((None, *points), points, strict=False)
                changed = [now for before, now in pairs if before is None or before.value != now.value]
                found.append(KeptSeries(name, labels, changed))
        return found

    def restore(self, kept: Iterable[KeptSeries]) -> None:
        """What `kept` gave another process."""
        for each in islice(kept, SERIES_MAX):
            if each.name in self._keep_s:
                for point in each.points[-SAMPLES_MAX:]:
                    self._append(each.name, each.labels, point)

    def _append(self, name: str, key: Labels, point: Point) -> None:
        points = self._of[name].get(key)
        if points is None:
            if sum(map(len, self._of.values())) >= SERIES_MAX:
                self.left_out += 1
                return
            points = self._of[name][key] = deque(maxlen=SAMPLES_MAX)
        points.append(point)

    def _selected(self, selector: Selector) -> list[tuple[Labels, deque[Point]]]:
        wanted = set(selector.labels)
        return [(key, points) for key, points in self._of[selector.name].items() if wanted <= set(key)]
