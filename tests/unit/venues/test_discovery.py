"""Exchanges are found by their folders."""

from __future__ import annotations

import pytest

from data_collector.model.errors import Misconfigured
from data_collector.venues.discovery import find_venue, venue_names


def test_binance_is_found_by_its_folder() -> None:
    assert "binance" in venue_names()
    assert find_venue("binance").name == "binance"


def test_names_are_sorted() -> None:
    assert venue_names() == sorted(venue_names())


def test_unknown_exchange_names_those_that_there_are() -> None:
    with pytest.raises(Misconfigured, match=r"no exchange named 'nowhere'; shipped are: .*binance"):
        find_venue("nowhere")
