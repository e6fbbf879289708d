"""What stands beside the symbol of the chart: whose market it is, and its figures."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.scripted_service import Script, ScriptedService, scripted
from tests.browser.test_dashboard import A_PAGE
from tests.browser.watched_page import Watched, opened

pytestmark = pytest.mark.slow

NOTHING = "\N{EN DASH}"


def test_best_bid_and_offer_of_the_chart_stand_beside_its_price(page: Watched, service: ScriptedService) -> None:
    page.expect_text("#chart-text", A_PAGE)
    best = {"bid": "45180.49000000", "bid_quantity": "1.1", "ask": "45180.50000000", "ask_quantity": "2.2"}
    service.say("quote", {"symbol": "ETHUSDT", **best})
    assert page.text("#stat-bid") == NOTHING
    day = {"high": "46000.00000000", "low": "44000.10000000", "quote_volume": None, "bid": "1", "ask": "2"}
    service.say("ticker", {"symbol": "BTCUSDT", **day})
    page.expect_text("#stat-ask", "2.00")

    service.say("quote", {"symbol": "BTCUSDT", **best})

    for statistic, text in (
        ("bid", "45,180.49"), ("ask", "45,180.50"), ("spread", "0.01 (<0.01 bp)"), ("high", "46,000.00"),
        ("low", "44,000.10"), ("change", "+2.31 %"),
    ):  # fmt: skip
        page.expect_text(f"#stat-{statistic}", text)
    # The statistics come once a second, and theirs are older.
    service.say("ticker", {"symbol": "BTCUSDT", **day, "high": "46001.00000000"})
    page.expect_text("#stat-high", "46,001.00")
    page.expect_text("#stat-bid", "45,180.49")
    service.say("quote", {"symbol": "BTCUSDT", **best, "bid": "45180.51000000"})
    page.expect_text("#stat-spread", "crossed")
    service.say("quote", {"symbol": "BTCUSDT", **best, "bid": None, "bid_quantity": "0.00000000"})
    page.expect_text("#stat-bid", NOTHING)
    page.expect_text("#stat-spread", NOTHING)
    page.page.get_by_role("button", name="1h", exact=True).click()
    page.expect_text("#chart-text", "BTCUSDT, interval 1h")
    page.expect_text("#stat-ask", NOTHING)


def test_address_of_the_streams_is_told_where_it_is_not_the_exchanges_own(browser: Browser) -> None:
    with scripted(Script(address="127.0.0.1:19443")) as service, opened(browser, service.url) as page:
        page.expect_text("#address", "from 127.0.0.1:19443")
        expect(page.page.locator("#simulated")).to_be_hidden()
