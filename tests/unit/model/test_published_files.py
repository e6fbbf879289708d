"""Whose past an exchange's published files are."""

from __future__ import annotations

import pytest

from data_collector.venues.discovery import find_venue


@pytest.mark.parametrize(
    ("rest_url", "are"),
    [
        ("https://api.binance.com", True),
        ("https://api1.binance.com:443", True),
        ("https://data-api.binance.vision", True),
        ("https://testnet.binance.vision", False),
        ("https://api.binance.us", False),
        ("https://api.notbinance.com", False),
        ("http://127.0.0.1:19080", False),
    ],
)
def test_files_are_of_the_exchange_itself_and_of_no_testnet_or_simulator(rest_url: str, *, are: bool) -> None:
    published = find_venue("binance").published

    assert published is not None
    assert published.are_of(rest_url) is are
