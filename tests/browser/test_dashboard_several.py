"""The dashboard where several exchanges are collected: the switch between them, the worst of all, and the spread."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.real_service import three_exchanges
from tests.browser.scripted_service import Script, ScriptedService, scripted
from tests.browser.watched_page import DESK, PHONE, Watched, opened
from tests.integration.waiting import until

pytestmark = pytest.mark.slow


def row(exchange: str, symbol: str, last: float, **more: object) -> dict[str, object]:
    """Of `/spread`."""
    return {
        "exchange": exchange, "symbol": symbol, "quote": symbol[-3:], "last": last, "bid": last - 1, "ask": None,
        "timestamp": "2024-01-01T12:00:00+00:00", "age_seconds": 0.4, "quoted_seconds_ago": 0.4, "stale": False,
        "difference_bp": 0.0,
    } | more  # fmt: skip


def spread(*rows: dict[str, object], reference: str | None = "binance") -> dict[str, object]:
    return {
        "base": "BTC", "quotes": [], "reference": reference, "reference_symbol": reference and "BTCUSDT",
        "stale_after_seconds": 30.0, "rows": list(rows),
    }  # fmt: skip


@pytest.fixture
def several() -> Iterator[ScriptedService]:
    kraken = Script(exchange="kraken", symbols=["BTC/USD", "BTC/USDT", "ETH/USD"], prices={"BTC/USDT": "7777.5"})
    coinbase = Script(exchange="coinbase", symbols=["BTC-USD"], prices={"BTC-USD": "8888.25"})
    with scripted(Script(others=[kraken, coinbase])) as service:
        ours, theirs = row("binance", "BTCUSDT", 45000.1), row("kraken", "BTC/USDT", 45004.5, difference_bp=0.98)
        old = {"age_seconds": 75.0, "quoted_seconds_ago": 75.0, "stale": True, "difference_bp": None}
        late = row("coinbase", "BTC-USD", 44000.59, **old)
        service.script.spread = {"USDT": spread(ours, theirs), "USD,USDT": spread(ours, theirs, late)}
        yield service


@pytest.fixture
def page(browser: Browser, several: ScriptedService) -> Iterator[Watched]:
    """The first of three exchanges, on a desk."""
    with opened(browser, several.url) as watched:
        watched.expect_text("#tape", "Sell")
        yield watched


def switch(page: Watched, exchange: str) -> None:
    page.page.locator("#exchanges").get_by_role("button", name=exchange).click()


def test_switch_shows_the_other_exchange_and_keeps_it_in_the_address(page: Watched, several: ScriptedService) -> None:
    page.expect_text("#chart-text", "BTCUSDT, interval 1m, the last of")
    assert page.page.url.endswith("/?exchange=binance#BTCUSDT/1m")
    group = page.page.get_by_role("group", name="Exchange", exact=True)
    expect(group.get_by_role("button", pressed=True)).to_have_text("binance")

    group.get_by_role("button", name="kraken").focus()
    page.page.keyboard.press("Enter")

    for _ in ("by the switch", "by the address"):
        # The market stays where it is collected, however it is written.
        page.expect_text("#chart-text", "BTC/USDT, interval 1m, the last of")
        page.expect_text("#symbols tr[data-symbol='BTC/USDT']", "7,777.50")
        page.expect_text("#symbols-count", "3")
        page.expect_text("#tape", "Sell")
        page.expect_text("#completeness tr[data-symbol='ETH/USD']", "proven")
        expect(page.page.locator("#completeness tr[data-symbol]")).to_have_count(3)
        expect(group.get_by_role("button", pressed=True)).to_have_text("kraken")
        for name in ("Gaps", "Refusals", "Subscriptions"):
            expect(page.page.get_by_role("link", name=name)).to_have_attribute("href", re.compile("exchange=kraken$"))
        assert page.page.url.endswith("/?exchange=kraken#BTC%2FUSDT/1m")
        page.page.reload()


def test_nothing_is_green_above_a_no_of_another_exchange(page: Watched, several: ScriptedService) -> None:
    page.expect_text("#live .reason", re.compile(r"^binance: The newest came .* kraken: yes\. coinbase: yes\.$"))
    kraken, coinbase = several.script.others
    kraken.running, kraken.reasons = False, ["the exchange cannot be reached"]
    coinbase.open_gaps = 1

    page.expect_text("#live .answer", "No")
    page.expect_text("#live .reason", "kraken: The exchange cannot be reached. binance: yes. coinbase: yes.")
    page.expect_text("#complete .answer", "Repairing")
    page.expect_text("#complete .reason", re.compile("^coinbase: 7 records of 1 gap"))
    page.expect_text("#valid .answer", "Yes")
    page.expect_text("#reasons", "kraken: the exchange cannot be reached")
    page.expect_text("#spoken", "Live: No, kraken. Complete: Repairing, coinbase. Valid: Yes.")
    page.expect_text("#exchanges", "kraken not live")
    page.expect_text("#exchanges", "coinbase repairing")
    expect(page.page).to_have_title("kraken not live · Data Collector")

    several.stop()
    page.expect_text("#complete .answer", "Unknown")
    several.start()
    page.expect_text("#complete .answer", "Repairing")


def test_last_word_of_a_collector_that_does_not_answer_is_no_answer(page: Watched, several: ScriptedService) -> None:
    """Neither of its own nor of all together, and no store, buffer or line of it is up."""
    kraken = several.script.each[1]
    page.expect_text("#complete .answer", "Yes")
    kraken.silent_seconds, kraken.running, kraken.reasons = 4.0, False, ["the collector process has not answered"]

    page.expect_text("#live .reason", "kraken: The collector process has not answered.")
    page.expect_text("#complete .reason", re.compile(r"^kraken: When last heard of: yes, 100 %\. binance: yes\."))
    page.expect_text("#spoken", "Live: No, kraken. Complete: Unknown, kraken. Valid: Unknown, kraken.")
    page.expect_text("#connections-count", "1 of 1 up")
    switch(page, "kraken")
    page.expect_text("#connections-count", "unknown")
    page.expect_text("#connections", "unknown")

    kraken.silent_seconds, kraken.running, kraken.reasons = None, True, []
    page.expect_text("#spoken", "Live: Yes. Complete: Yes. Valid: Yes.")
    page.expect_text("#connections-count", "1 of 1 up")


def test_control_acts_on_the_exchange_that_is_shown(page: Watched, several: ScriptedService) -> None:
    switch(page, "coinbase")
    page.page.get_by_role("button", name="Stop collecting coinbase").click()
    dialog = page.page.get_by_role("dialog", name="Stop collecting coinbase?")
    expect(dialog).to_contain_text("The other exchanges go on as they are.")

    dialog.get_by_role("button", name="Stop", exact=True).click()

    page.expect_text("#live .reason", "coinbase: Stopped by operator. binance: yes. kraken: yes.")
    assert [each.running for each in several.script.each] == [True, True, False]
    page.page.get_by_role("button", name="Start collecting coinbase").wait_for()
    switch(page, "binance")
    page.page.get_by_role("button", name="Stop collecting binance").wait_for()


def test_refusals_of_each_are_kept_apart(page: Watched, several: ScriptedService) -> None:
    old: dict[str, object] = {
        "symbol": "BTC/USD", "id": "1-0", "at": "2024-01-01T12:00:00.000+00:00", "record": {"price": -1}, "frame": None,
        "reasons": [{"rule": "price_positive", "message": "The price must be above zero."}],
    }  # fmt: skip
    several.script.others[0].refused.append(old)

    page.expect_text("#valid .reason", re.compile(r"^binance: .* kraken: yes\. coinbase: yes\.$"))
    page.expect_text("#no-refusals", "None is kept.")
    switch(page, "kraken")
    page.expect_text("#refusals", "price_positive")
    page.expect_text("#valid .reason", "kraken: 1 of 5,000 messages refused")
    switch(page, "binance")
    page.expect_text("#no-refusals", "None is kept.")


def test_spread_puts_the_market_side_by_side(page: Watched, several: ScriptedService) -> None:
    panel = page.page.locator("#spread")
    panel.scroll_into_view_if_needed()
    expect(panel).to_have_accessible_name("Spread BTC in USDT")
    rows = panel.get_by_role("row")
    found = ("Exchange", "binance BTCUSDT45,000.10", r"kraken BTC/USDT45,004.50.*\+0.98$")
    expect(rows).to_have_text([re.compile(text) for text in found])
    page.expect_text("#spread-note", "Differences are of the last prices, to BTCUSDT of binance.")
    page.expect_text("#spread-note", "coinbase: BTC in USDT is not collected.")

    panel.get_by_label("USD and USDT as one quote").check()

    expect(rows.last).to_have_text(re.compile("coinbase BTC-USD44,000.5975 s43,999.59.*stale$"))
    page.expect_text("#spread-note", "Bid and ask of coinbase are 75 s old.")
    several.script.spread["USD,USDT"] = spread(reference=None)
    page.expect_text("#spread-note", "No price is fresh, so nothing is compared.")
    several.script.spread["USD,USDT"] = spread(row("coinbase", "BTC-USD", 44000.59), reference=None)
    panel.get_by_role("button", name="coinbase BTC-USD").click()
    page.expect_text("#chart-text", "BTC-USD, interval 1m")
    assert page.page.url.endswith("/?exchange=coinbase#BTC-USD/1m")


def test_exchange_of_the_address_that_is_not_collected_is_told(browser: Browser, several: ScriptedService) -> None:
    with opened(browser, f"{several.url}?exchange=mtgox#BTCUSD/1m") as page:
        page.expect_text("#reasons", "mtgox is not collected here. This is binance.")
        page.expect_text("#chart-text", "BTCUSDT, interval 1m, the last of")
        switch(page, "kraken")
        expect(page.page.locator("#reasons")).to_be_hidden()


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_everything_has_room_and_axe_finds_no_fault(
    browser: Browser, several: ScriptedService, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    several.script.others[0].running = False
    with opened(browser, several.url, size=size, scheme=scheme) as page:
        page.page.locator("#spread").scroll_into_view_if_needed()
        page.page.get_by_label("USD and USDT as one quote").check()
        page.expect_text("#spread-rows", "stale")
        page.expect_text("#exchanges", "kraken not live")
        assert page.number("document.documentElement.scrollWidth - innerWidth") <= 0
        table = "document.querySelector('#spread .scroller')"
        assert page.number(f"{table}.scrollWidth - {table}.clientWidth") <= 0
        assert page.faults_of_axe() == []


def test_page_follows_three_collectors_of_a_real_service(browser: Browser, tmp_path: Path) -> None:
    """Switched to and fro: the prices of each, and the rows of all."""
    with three_exchanges(tmp_path) as url, opened(browser, url) as page:
        for card in ("#live", "#complete", "#valid"):
            page.expect_text(f"{card} .answer", "Yes")
        for name, symbol in (("kraken", "BTC/USD"), ("coinbase", "BTC-USD"), ("binance", "BTCUSDT")):
            switch(page, name)
            page.expect_text("#chart-title", symbol)
            page.expect_text("#tape", re.compile("Buy|Sell"))
            expect_another_price(page, symbol)
        page.page.locator("#spread").scroll_into_view_if_needed()
        expect(page.page.get_by_label("USD and USDT as one quote")).to_be_checked()
        expect(page.page.locator("#spread-rows tr")).to_have_count(3)
        for name in ("binance BTCUSDT", "kraken BTC/USD", "coinbase BTC-USD"):
            page.expect_text("#spread-rows", name)


def expect_another_price(page: Watched, symbol: str) -> None:
    price = f"#symbols tr[data-symbol='{symbol}'] .price"
    first = page.text(price)
    until(lambda: page.text(price) != first, "another price")
