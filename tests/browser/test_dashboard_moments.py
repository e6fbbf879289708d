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
DRAWN = """() => Object.fromEntries(["past", "after", "now", "path", "random", "middle", "tick"].map((name) => {
  const shapes = [...document.querySelectorAll(`#moments-plot .fan-${name}`)];
  const hasExtent = ({ width, height }) => width + height > 0;
  return [name, shapes.filter((shape) => !/NaN/.test(shape.outerHTML) && hasExtent(shape.getBBox())).length];
}))"""
ENDS_AND_BEGINS = """() => ["now", "path"].map((name, i) => {
  const points = document.querySelector(`#moments-plot .fan-${name}`).getAttribute("points").split(" ");
  return Number(points.at(i - 1).split(",")[0]);
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
    """Half of the hits rise, the others stay: luck does as much."""
    look(page)

    page.expect_text("#moments-of", "BTCUSDT 1m")
    page.expect_text(
        "#moments-found", "12 past windows most like the last candles, of the last 6 days: similarity 0.73 to 0.95"
    )
    page.expect_text(
        "#moments-outcome",
        "32 candles (32 min) later: lowest 0.00 %, middle half (6 of 12) 0.00 % to +0.40 %, highest +3.25 %. "
        "400 random windows (any 32 min): middle half \N{MINUS SIGN}0.30 % to +0.30 %.",
    )
    page.expect_text(
        "#moments-worth",
        "Only 12 cases: a median of +0.05 % against 0.00 % at random is within luck. "
        "At no point drawn do they differ from random by more than luck. "
        "The median is smaller than usual fees of 0.1 % a trade.",
    )
    page.expect_text("#moments .caution", "Not a forecast: random, pattern-free prices give matches just as close.")


def test_outcomes_within_luck_are_drawn_without_a_path(page: Watched) -> None:
    """A dip of the median at the first candles would be taken for a signal: only their end is shown."""
    look(page)

    until(lambda: page.page.evaluate(DRAWN)["now"] == 1, "the drawing")
    drawn = {"past": 12, "after": 12, "now": 1, "path": 0, "random": 5, "middle": 1, "tick": 1}
    assert page.page.evaluate(DRAWN) == drawn
    page.expect_text("#moments-plot", "no better than random")
    page.expect_text("#moments-plot", "6 of 12 ended inside")
    page.expect_text("#moments-plot", "any 32 min")
    page.expect_text("#moments-plot", "% from price now")
    page.expect_text("#moments-inside", "middle half (6 of 12)")


def test_outcomes_beyond_luck_are_drawn_as_a_path_apart_from_the_price(
    browser: Browser, service: ScriptedService
) -> None:
    """All hits rise; the first candle after now is where their median begins."""
    service.script.rising_every = 1
    with opened(browser, service.url) as page:
        look(page)

        page.expect_text(
            "#moments-verdict",
            "Differs from random by more than luck: 12 of 12 were above the random median 4 min later.",
        )
        page.expect_text("#moments-worth", "One look in twenty differs so by luck alone.")
        page.expect_text("#moments-inside", "dashed on the way")
        until(lambda: page.page.evaluate(DRAWN)["path"] == 1, "the drawing")
        drawn = {"past": 12, "after": 12, "now": 1, "path": 1, "random": 5, "middle": 5, "tick": 5}
        assert page.page.evaluate(DRAWN) == drawn
        expect(page.page.locator("#moments-plot")).to_contain_text("differs from random")
        ends, begins = page.page.evaluate(ENDS_AND_BEGINS)
        assert begins > ends + 4


def test_verdict_stands_before_the_drawing(page: Watched) -> None:
    look(page)
    page.expect_text("#moments-verdict", re.compile(r"^Tells nothing about what comes next\.$"))

    verdict, plot = (page.page.locator(f"#moments-{name}").bounding_box() for name in ("verdict", "plot"))
    assert verdict is not None
    assert plot is not None
    assert verdict["y"] + verdict["height"] <= plot["y"]


def test_windows_are_listed_whole_and_without_colours(page: Watched) -> None:
    look(page)

    page.expect_text("#moments-tally", "6 up, 0 down, 6 unchanged")
    page.expect_text("#moments-hits tr:nth-child(2)", "+3.25 %")
    page.expect_text("#moments-hits tr:nth-child(2)", re.compile(r"^\s*\d\d-\d\d \d\d:\d\d"))
    page.expect_text("#moments thead", "Swings vs now")
    assert page.page.locator("#moments [data-direction]").count() == 0
    last = page.page.locator("#moments-hits tr:nth-child(12)")
    hidden = "row => { const box = row.closest('.scroller'); return box.scrollHeight - box.clientHeight; }"
    assert last.evaluate(hidden) == 0


def test_few_windows_are_told_to_tell_nothing(page: Watched, service: ScriptedService) -> None:
    service.script.hits = 4
    service.script.rising_every = 1
    look(page)
    page.page.locator("#moments-window").select_option("64")

    page.expect_text("#moments-worth", "Only 4 cases: too few to tell anything.")
    page.expect_text("#moments-plot", "too few to tell")
    page.expect_text("#moments-verdict", "Tells nothing about what comes next.")
    assert "window=64" in service.moments_asked[-1]


def test_windows_that_are_hardly_alike_are_left_out(browser: Browser, service: ScriptedService) -> None:
    service.script.unlikeness = 0.05
    with opened(browser, service.url) as page:
        look(page)

        page.expect_text(
            "#moments-found", "10 past windows most like the last candles, of the last 6 days: similarity 0.50"
        )
        assert "k=10" in service.moments_asked[-1]


def test_where_few_windows_are_alike_that_is_told(browser: Browser, service: ScriptedService) -> None:
    service.script.unlikeness = 0.4
    with opened(browser, service.url) as page:
        look(page)

        page.expect_text(
            "#moments-found", "3 past windows most like the last candles, of the last 6 days: similarity 0.15"
        )
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
        until(lambda: page.page.evaluate(DRAWN)["now"] == 1, "the drawing")

        assert page.page.evaluate(WIDTHS) == [PHONE[0], 0]
        now = page.page.evaluate("getComputedStyle(document.querySelector('.fan-now')).stroke")
        assert re.match(r"rgb\((2[0-9]|17)" if scheme == "light" else r"rgb\(22", str(now)), now
