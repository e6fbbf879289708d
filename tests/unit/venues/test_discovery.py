"""Exchanges are found by their folders."""

from __future__ import annotations

import subprocess
import sys

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


def test_settings_of_every_exchange_are_read_without_what_speaks_http() -> None:
    program = (
        "import sys; from data_collector.settings import load_settings; from data_collector.venues import discovery\n"
        "print([load_settings({}, None, exchange=name).exchange for name in discovery.venue_names()])\n"
        "print(sorted({'aiohttp', 'picows', 'asyncpg'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert told.splitlines() == [str(venue_names()), "[]"]
