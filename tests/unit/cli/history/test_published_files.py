"""What commands say of published files where an exchange has none, or those of another place."""

from __future__ import annotations

import pytest

from data_collector.cli.history.backfill import bulk_files_of
from data_collector.cli.history.certify import published_files
from data_collector.model.errors import Misconfigured
from data_collector.settings import load_settings
from data_collector.venues.discovery import find_venue

BINANCE, KRAKEN = find_venue("binance"), find_venue("kraken")


def test_exchange_that_publishes_none_is_compared_with_its_rest_side() -> None:
    settings = load_settings({}, None, exchange="kraken")

    assert published_files(settings, KRAKEN, None) is None
    with pytest.raises(Misconfigured, match=r"--files-url: kraken publishes no files of its past; leave it out"):
        published_files(settings, KRAKEN, "http://mirror")
    with pytest.raises(Misconfigured, match=r"kraken publishes no files of its past; use --source rest"):
        bulk_files_of(settings, KRAKEN, "dumps", None)


def test_files_are_not_taken_for_the_past_of_a_testnet() -> None:
    testnet = load_settings({"BINANCE_REST_URL": "https://testnet.binance.vision"}, None)

    assert published_files(testnet, BINANCE, None) is None
    assert published_files(load_settings({}, None), BINANCE, None) is not None
    with pytest.raises(Misconfigured, match=r"BINANCE_REST_URL is testnet\.binance\.vision, .* are of binance itself"):
        bulk_files_of(testnet, BINANCE, "dumps", None)
