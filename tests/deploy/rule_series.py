"""The notation of Prometheus for the series of its tests: `1x4 0+15x60 _x3`."""

from __future__ import annotations

import re
from collections.abc import Callable

_PART = re.compile(r"(_|-?[0-9.e]+)(?:([+-])([0-9.e]+))?(?:x([0-9]+))?")
_UNITS_S = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """Of `1m30s`."""
    return sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"([0-9]+)([smh])", text))


def series_of(name: str, values: str) -> tuple[str, dict[str, str], Callable[[int], float | None]]:
    """Name, labels, and the value at each step; None where there is none."""
    found: list[float | None] = []
    for part in values.split():
        start, sign, step, times = _PART.fullmatch(part).groups()  # type: ignore[union-attr]
        count = int(times) + 1 if times else 1
        growth = float(f"{sign}{step}") if step else 0.0
        found += [None if start == "_" else float(start) + growth * at for at in range(count)]
    labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
    return name.partition("{")[0], labels, lambda at: found[at] if at < len(found) else None
