"""The suites that come with the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from data_collector.validation.rules.columns import Kind
from data_collector.validation.rules.suite import Suite, read_suite


@cache
def shipped_suite(kind: Kind) -> Suite:
    """The rules of `suites/{kind}.json`."""
    path = files("data_collector.validation").joinpath("suites", f"{kind}.json")
    return read_suite(kind, path.read_bytes(), source="shipped", origin=f"the shipped {kind} suite")
