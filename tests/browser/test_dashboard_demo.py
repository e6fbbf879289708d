"""The dashboard of a real demo, as a newcomer sees it: the chart first, and nothing said that is not so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.watched_page import DESK, PATIENCE_MS, PHONE, Watched, opened
from tests.integration.demo import Demo, demo, first
from tests.integration.waiting import until

pytestmark = pytest.mark.slow

GREEN_DOWN_TO = """(selector) => {
  const end = document.querySelector(selector).getBoundingClientRect().bottom;
  const isGreen = (text) => {
    const [r, g, b, alpha = 1] = (text.match(/[0-9.]+/g) ?? []).map(Number);
    return alpha > 0 && g > r + 25 && g > b + 25;
  };
  const isAbove = (e) => e.checkVisibility() && e.getBoundingClientRect().top < end;
  const shown = [...document.body.querySelectorAll("*")].filter(isAbove);
  return shown.filter((e) => [null, "::before", "::after"].some((part) => {
    const style = getComputedStyle(e, part);
    const isPart = part === null || !["none", "normal"].includes(style.content);
    const inherits = part === null && e.children.length > 0;
    const names = ["backgroundColor", "borderLeftColor", ...(inherits ? [] : ["color"])];
    const isDrawn = (name) => name !== "borderLeftColor" || style.borderLeftWidth !== "0px";
    return isPart && names.some((name) => isGreen(style[name]) && isDrawn(name));
  })).map((e) => e.outerHTML.slice(0, 80));
}"""
"""What is green in the window, above the lower edge of an element."""

FOCUSED = """() => {
  const { id, dataset, value, textContent, outerHTML } = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  const seen = outlineStyle === "solid" && outlineWidth !== "0px" && document.activeElement.checkVisibility();
  return [id || dataset.symbol || value || textContent.trim(), seen, outerHTML.slice(0, 80)];
}"""

SIZES = """() => [...document.querySelectorAll("#tape tr")].map((row) => {
  const [price, quantity] = [1, 2].map((i) => Number(row.cells[i].textContent.replaceAll(",", "")));
  const { fontWeight } = getComputedStyle(row.cells[2]);
  const side = row.cells[3].textContent;
  return { value: price * quantity, size: row.dataset.size, weight: Number(fontWeight), side };
})"""


@pytest.fixture(scope="module", autouse=True)
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One for all tests, with three symbols.

    It begins before the browser does and ends after it, because its end needs an event loop of its own.
    """
    with demo(tmp_path_factory.mktemp("demo") / "var", intervals="1m,1h") as running:
        until(lambda: running.health()["status"] == "healthy", "health", output=running.screen)
        yield running


@pytest.fixture
def page(browser: Browser, running: Demo) -> Iterator[Watched]:
    """On a desk, when all is well."""
    with opened(browser, running.url) as watched:
        expect_all_well(watched)
        yield watched


def expect_all_well(page: Watched) -> None:
    expect(page.page.locator("#headline")).to_have_attribute("data-tone", "good", timeout=2 * PATIENCE_MS)
    page.expect_text("#tape", re.compile("Buy|Sell"))


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_chart_is_first_and_large(browser: Browser, running: Demo, size: tuple[int, int]) -> None:
    width, height = size
    with opened(browser, running.url, size=size) as page:
        expect_all_well(page)
        plot, headline = page.box("#chart"), page.box("#headline")

        assert headline["y"] < plot["y"]
        # All of it stands in the first window, and it has most of that.
        assert plot["y"] + plot["height"] <= height
        assert plot["width"] >= width * (0.65 if size == DESK else 0.9)
        assert plot["height"] >= height * (0.7 if size == DESK else 0.45)
        for other in (".symbols", ".tape", "#moments", ".operation"):
            box = page.box(other)
            assert box["x"] >= plot["x"] + plot["width"] or box["y"] >= plot["y"] + plot["height"], other
        for statistic in ("high", "low", "bid", "ask", "spread", "change"):
            page.expect_text(f"#stat-{statistic}", re.compile(r"\d"))


def test_panels_of_three_symbols_have_no_empty_half(page: Watched) -> None:
    page.expect_text("#completeness tr[data-symbol=ETHUSDT]", "proven")
    for panel, table in ((".symbols", "#symbols"), ("#completeness", "#completeness")):
        box, row = page.box(panel), page.box(f"{table} tr[data-symbol] >> nth=-1")
        assert box["y"] + box["height"] - row["y"] - row["height"] <= 4, panel


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_answers_are_one_line_while_none_is_a_no(browser: Browser, running: Demo, size: tuple[int, int]) -> None:
    with opened(browser, running.url, size=size) as page:
        expect_all_well(page)
        page.expect_text("#more", "Details")
        tops = {round(page.box(f"#{card} .answer")["y"]) for card in ("live", "complete", "valid")}
        assert len(tops) == 1
        assert page.box("#headline")["height"] <= 44
        expect(page.page.locator("#complete .reason")).to_be_hidden()

        page.page.get_by_role("button", name="Details").click()

        expect(page.page.locator("#complete .reason")).to_be_visible()
        page.expect_text("#complete .reason", "proven by their ids")


def test_badge_says_simulated_and_of_which_exchange(page: Watched) -> None:
    expect(page.page.locator("#simulated")).to_be_visible()
    expect(page.page.locator("#simulated")).to_have_text("SIMULATED: no price here is real")
    expect(page.page.locator("#exchange")).to_have_text("binance")
    expect(page.page.locator("#address")).to_be_hidden()


def test_times_are_told_in_utc_or_in_the_local_zone(browser: Browser, running: Demo) -> None:
    marks = """async () => {
      const { markText } = await import("/assets/times.js");
      const at = Date.UTC(2024, 0, 1, 18, 30);
      return [markText(at, 3, "1m"), markText(at + 60000, 3, "1m"), markText(at, 2, "1d")];
    }"""
    with opened(browser, running.url, zone="Asia/Kolkata") as page:
        expect_all_well(page)
        page.expect_text("#legend", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d UTCO "))
        assert page.page.evaluate(marks) == [None, None, None]
        utc = minutes(page.text("#tape tr:first-child .time"))

        page.page.get_by_label("Times").select_option("local")

        for _ in ("at once", "kept"):
            page.expect_text("#legend", "UTC+5:30")
            page.expect_text("#chart-text", "UTC+5:30")
            page.expect_text("#tape", re.compile("Buy|Sell"))
            assert (minutes(page.text("#tape tr:first-child .time")) - utc) % 1440 in range(330, 335)
            assert page.page.evaluate(marks) == ["2 Jan", "00:01", None]
            page.page.reload()
        expect(page.page.get_by_label("Times")).to_have_value("local")


def minutes(clock: str) -> int:
    """Of a day."""
    hours, minutes, _ = map(int, clock.split(":"))
    return hours * 60 + minutes


def test_full_screen_keeps_the_answers_in_sight(page: Watched) -> None:
    page.page.get_by_role("button", name="Full screen").click()

    stage, plot = page.box("#stage"), page.box("#chart")
    assert (stage["x"], stage["y"], stage["width"], stage["height"]) == (0, 0, *DESK)
    assert plot["width"] * plot["height"] > 0.8 * DESK[0] * DESK[1]
    expect(page.page.locator("#live .answer")).to_be_in_viewport()
    expect(page.page.locator(".tape")).to_be_hidden()
    assert page.page.evaluate("document.fullscreenElement !== null")
    expect(page.page.locator("#chart-simulated")).to_be_visible()
    # What it covers cannot be reached by keys.
    assert page.page.evaluate("document.querySelector('.top').inert && document.querySelector('.operation').inert")

    page.page.keyboard.press("Escape")

    expect(page.page.locator(".tape")).to_be_visible()
    until(lambda: page.page.evaluate("document.fullscreenElement === null"), "the window back")
    assert not page.page.evaluate("document.querySelector('.top').inert")


def test_change_that_reads_zero_has_no_colour(page: Watched, running: Demo) -> None:
    order = {"kind": "change", "stream": "ethusdt@ticker", "count": 10_000, "set": {"P": "-0.004"}}
    rest = first(r"Exchange +\S+, (\S+)", running.screen())
    assert page.page.request.post(f"{rest}/simulator/faults", data={"frames": [order]}).ok

    change = page.page.locator("#symbols tr[data-symbol=ETHUSDT] .change")
    expect(change).to_have_text("0.00 %", timeout=PATIENCE_MS)
    page.page.locator("#symbols tr[data-symbol=ETHUSDT]").click()
    page.expect_text("#stat-change", "0.00 %")

    text = page.page.evaluate("getComputedStyle(document.body).color")
    for shown in (change, page.page.locator("#stat-change")):
        assert shown.evaluate("(e) => getComputedStyle(e).color") == text


def test_big_trades_stand_out_in_the_tape(page: Watched) -> None:
    until(lambda: {"big", "huge"} & {row["size"] for row in page.page.evaluate(SIZES)}, "a big trade")

    rows = page.page.evaluate(SIZES)
    usual = [row for row in rows if row["size"] == ""]
    marked = [row for row in rows if row["size"] != ""]
    assert marked
    assert min(row["value"] for row in marked) > max(row["value"] for row in usual)
    assert {row["weight"] for row in marked} == {700}
    assert {row["weight"] for row in usual} == {400}
    # By more than colour and weight, for who does not see them.
    assert all(row["side"].endswith(f", {row['size']}") for row in marked)


def test_nothing_is_green_above_a_no(page: Watched) -> None:
    assert page.page.evaluate(GREEN_DOWN_TO, "#headline") != []
    page.page.get_by_role("button", name="Stop collecting").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    try:
        page.expect_text("#live .answer", "No")
        expect(page.page.locator("#live .reason")).to_be_visible()
        page.expect_text("#complete .answer", "Yes")
        assert page.page.evaluate(GREEN_DOWN_TO, "#headline") == []
        # Nor are prices that stand still.
        assert page.page.evaluate("getComputedStyle(document.querySelector('.market')).filter") == "grayscale(1)"
        assert page.faults_of_axe() == []
    finally:
        page.page.get_by_role("button", name="Start collecting").click()
        page.page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    expect_all_well(page)


def test_keys_reach_everything_in_the_order_of_the_page(page: Watched) -> None:
    seen: list[str] = []
    while "search" not in seen:
        page.page.keyboard.press("Tab")
        name, is_seen, node = page.page.evaluate(FOCUSED)
        assert is_seen, node
        seen.append(name)

    assert seen == ["Skip to the answers", "time", "theme", "control", "more", "1m", "1h", "full", "chart", "search"]
    page.page.locator("#intervals button[value='1h']").focus()
    page.page.keyboard.press("Enter")
    page.expect_text("#chart-text", "BTCUSDT, interval 1h")


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")])
def test_axe_finds_no_fault(
    browser: Browser, running: Demo, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, running.url, size=size, scheme=scheme) as page:
        expect_all_well(page)
        if size == PHONE:
            page.page.get_by_role("button", name="Menu").click()
            expect(page.page.get_by_label("Times")).to_be_visible()
        until(lambda: {"big", "huge"} & {row["size"] for row in page.page.evaluate(SIZES)}, "a big trade")

        assert page.faults_of_axe() == []
        assert page.number("document.documentElement.scrollWidth - innerWidth") <= 0
