"""The dashboard over the real service: what is collected is what is shown, also after a restart."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from data_collector.embedded.peer import free_port
from tests.browser.real_service import serving
from tests.browser.watched_page import Watched, opened
from tests.integration.processes import exchange
from tests.integration.waiting import until

pytestmark = pytest.mark.slow

PRICE = "#symbols tr[data-symbol=BTCUSDT] .price"


def test_page_shows_what_is_collected_and_finds_the_service_again(browser: Browser, tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "service"
    with exchange(tmp_path, "--trades-per-s", "20") as market, ExitStack() as running:
        channels = "kline,trade,ticker,quote"
        url = running.enter_context(serving(folder, market, port, channels=channels))
        with opened(browser, url) as page:
            expect_all_well(page)
            page.expect_text("#chart-text", "BTCUSDT, interval 1m, the last of")
            page.expect_text("#completeness tr[data-symbol=ETHUSDT]", "proven")
            page.expect_text("#tape", "Buy")
            page.expect_text("#stat-spread", "bp")
            page.expect_text("#stores", "redis://")
            page.expect_text("#connections", "connected")
            expect_another_price(page)

            running.close()
            page.expect_text("#live .answer", "No")
            with serving(folder, market, port, channels=channels):
                expect_all_well(page)
                expect_another_price(page)


def expect_all_well(page: Watched) -> None:
    for card in ("#live", "#complete", "#valid"):
        page.expect_text(f"{card} .answer", "Yes")


def expect_another_price(page: Watched) -> None:
    first = page.text(PRICE)
    until(lambda: page.text(PRICE) != first, "another price")
