"""Moments like this on the dashboard: what is drawn and told of them, and what is told in their place."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.scripted_service import ScriptedService, now_ms
from tests.browser.watched_page import PATIENCE_MS, PHONE, Watched, opened
from tests.integration.waiting import until

pytestmark = pytest.mark.slow

SEEN = "#moments-answer:not([hidden])"
LINES = """() => ["past", "after", "now", "middle", "random"].map((name) => {
  const shapes = [...document.querySelectorAll(`#moments-plot .fan-${name}`)];
  const drawn = shapes.map((shape) => shape.getAttribute("points"));
  return [name, drawn.filter((points) => points.length > 20 && !/NaN/.test(points)).length];
})"""

WIDTHS = """() => [document.documentElement.scrollWidth, document.getElementById("moments").scrollWidth
  - document.getElementById("moments").clientWidth]"""


def look(page: Watched) -> None:
    page.page.locator("#moments").scroll_into_view_if_needed()


def close_candle(service: ScriptedService) -> None:
    numbers = {"open": "100.0", "high": "141.0", "low": "99.0", "close": "140.125", "volume": "5"}
    at = now_ms() // 60_000 * 60_000
    service.say("candle", {"symbol": "BTCUSDT", "interval": "1m", "time": at, "closed": True, **numbers})


def test_moments_are_drawn_and_told_in_words(page: Watched) -> None:
    look(page)

    page.expect_text("#moments-of", "BTCUSDT 1m")
    page.expect_text("#moments-found", "12 past windows most like the last candles, of similarity 0.73 to 0.95")
    page.expect_text(
        "#moments-outcome",
        "32 candles (32 min) later half of them were between 0.00 % and +0.40 %, median +0.05 %; of 400 windows drawn "
        "at random, between \N{MINUS SIGN}0.30 % and +0.30 %, median 0.00 %.",
    )
    page.expect_text(
        "#moments-worth",
        "What followed counts as 12 independent outcomes, and their median is where windows drawn at random end too: "
        "the shape tells nothing here.",
    )
    page.expect_text("#moments .caution", "No forecast")
    page.expect_text("#moments-hits tr:nth-child(2)", "+3.25 %")
    until(lambda: dict(page.page.evaluate(LINES))["now"] == 1, "the drawing")
    assert dict(page.page.evaluate(LINES)) == {"past": 12, "after": 12, "now": 1, "middle": 1, "random": 1}


def test_few_windows_are_told_to_tell_nothing(page: Watched, service: ScriptedService) -> None:
    service.script.hits = 4
    look(page)
    page.page.locator("#moments-window").select_option("64")

    page.expect_text("#moments-worth", "What followed counts as 4.0 independent outcomes: too few to tell anything.")
    assert "window=64" in service.moments_asked[-1]


def test_windows_that_are_hardly_alike_are_left_out(browser: Browser, service: ScriptedService) -> None:
    service.script.unlikeness = 0.05
    with opened(browser, service.url) as page:
        look(page)

        page.expect_text("#moments-found", "10 past windows most like the last candles, of similarity 0.50 to 0.95")
        assert "k=10" in service.moments_asked[-1]


def test_where_few_windows_are_alike_that_is_told(browser: Browser, service: ScriptedService) -> None:
    service.script.unlikeness = 0.4
    with opened(browser, service.url) as page:
        look(page)

        page.expect_text("#moments-found", "3 past windows most like the last candles, of similarity 0.15 to 0.95")
        page.expect_text("#moments-worth", "1 of 3 hardly looks like now.")


def test_what_cannot_be_asked_is_told_and_asked_again_where_it_passes(
    browser: Browser, service: ScriptedService
) -> None:
    service.script.moments_refused = (503, "BTCUSDT 1m is being filled, 12 candles so far.", "1")
    with opened(browser, service.url) as page:
        look(page)
        page.expect_text("#moments-note", "BTCUSDT 1m is being filled, 12 candles so far.")

        service.script.moments_refused = None

        page.expect_text(SEEN, "12 past windows")


def test_what_passes_leaves_what_was_there(page: Watched, service: ScriptedService) -> None:
    look(page)
    page.expect_text(SEEN, "12 past windows")
    service.script.moments_refused = (503, "Market Memory is being started again.", "1")
    close_candle(service)

    page.expect_text("#moments-note", "Market Memory is being started again.")
    page.expect_text(SEEN, "12 past windows")

    service.script.moments_refused = None
    expect(page.page.locator("#moments-note")).to_be_hidden(timeout=PATIENCE_MS)


def test_memory_that_is_off_is_told_and_asked_no_more(browser: Browser, service: ScriptedService) -> None:
    service.script.moments_refused = (503, "Market Memory is off: MEMORY=1 starts it.", "")
    with opened(browser, service.url) as page:
        look(page)
        page.expect_text("#moments-note", "Market Memory is off: MEMORY=1 starts it.")
        asked = len(service.moments_asked)

        page.page.get_by_role("button", name="1h", exact=True).click()

        page.expect_text("#moments-of", "BTCUSDT 1h")
        until(lambda: len(service.moments_asked) == asked + 1, "the question about another chart")


def test_candle_that_closes_asks_again(page: Watched, service: ScriptedService) -> None:
    look(page)
    page.expect_text(SEEN, "12 past windows")
    asked = len(service.moments_asked)

    close_candle(service)

    until(lambda: len(service.moments_asked) > asked, "another question")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_panel_fits_on_a_phone_and_follows_the_colours(browser: Browser, service: ScriptedService, scheme: str) -> None:
    with opened(browser, service.url, size=PHONE, scheme="dark" if scheme == "dark" else "light") as page:
        look(page)
        page.expect_text(SEEN, "12 past windows")
        until(lambda: dict(page.page.evaluate(LINES))["now"] == 1, "the drawing")

        assert page.page.evaluate(WIDTHS) == [PHONE[0], 0]
        now = page.page.evaluate("getComputedStyle(document.querySelector('.fan-now')).stroke")
        assert re.match(r"rgb\((2[0-9]|17)" if scheme == "light" else r"rgb\(22", str(now)), now
