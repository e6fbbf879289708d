"""The dashboard in a real browser, with a feed that says what a test wants: what is shown, and that it stays right."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.scripted_service import Script, ScriptedService, now_ms, scripted, streaming
from tests.browser.watched_page import PHONE, Watched, opened
from tests.integration.waiting import until

pytestmark = pytest.mark.slow

A_PAGE = re.compile("the last of (499|50.) candles")
ALL = re.compile("the last of (1499|150.) candles")
"""A minute may end while a test runs."""

HOSTILE = "<img src=x onerror=window.attacked=1>"

REFUSAL: dict[str, object] = {
    "symbol": "BTCUSDT", "id": "1-0", "at": "2024-01-01T12:00:00.000+00:00", "record": {"price": -1.5}, "frame": None,
    "reasons": [{"rule": "price_positive", "message": "The price must be above zero."}],
}  # fmt: skip

COLOURS_OF_CHART = """() => {
  const seen = new Set();
  for (const canvas of document.querySelectorAll("#chart canvas")) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  }
  return seen.size;
}"""

COUNT_FRAMES = """() => new Promise((resolve) => {
  const begin = performance.now();
  let frames = 0;
  const count = () => {
    frames += 1;
    const seconds = (performance.now() - begin) / 1000;
    seconds < 3 ? requestAnimationFrame(count) : resolve(frames / seconds);
  };
  requestAnimationFrame(count);
})"""

CONTRASTS = """() => {
  const probe = document.body.appendChild(document.createElement("span"));
  const light = (name) => {
    probe.style.color = `var(--${name})`;
    const parts = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const pairs = [];
  const unders = ["surface", "page", "raised", "accent-soft", "good-tint", "bad-tint"];
  for (const text of ["text", "muted", "accent", "up", "down", "warn"]) {
    for (const under of unders) pairs.push([text, under]);
  }
  for (const tone of ["good", "warn", "bad"]) pairs.push([tone, `${tone}-soft`], ["text", `${tone}-soft`]);
  return pairs.filter(([a, b]) => ratio(a, b) < 4.5).map(([a, b]) => `${a} on ${b}: ${ratio(a, b).toFixed(2)}`);
}"""


def test_answers_and_panels_say_what_the_feed_says(page: Watched) -> None:
    for card, answer, figure, reason in (
        ("#live", "Yes", "321 messages/s", "The newest came less than a second ago, over 1 connection."),
        ("#complete", "Yes", "100 %", "All 3,000 trades of 3 symbols held, proven by their ids."),
        (
            "#valid",
            "Yes",
            "100 %",
            "Great Expectations has checked 50 % of them again, and looks at the rest in 2 min.",
        ),
    ):
        page.expect_text(f"{card} .answer", answer)
        page.expect_text(f"{card} .figure", figure)
        page.expect_text(f"{card} .reason", reason)
    page.expect_text("#spoken", "Live: Yes. Complete: Yes. Valid: Yes.")
    for several in ("#exchanges", "#spread"):
        expect(page.page.locator(several)).to_be_hidden()
    assert page.page.url.endswith("/#BTCUSDT/1m")
    row = "#symbols tr[data-symbol=BTCUSDT]"
    for text in ("107.50", "+2.31 %", "1.23K"):
        page.expect_text(row, text)
    assert "00000" not in page.text(row)
    page.expect_text("#completeness tr[data-symbol=ETHUSDT]", "proven")
    page.expect_text("#pipeline-title >> xpath=../..", "320/s")
    page.expect_text("#exchange", "binance")
    page.expect_text("#stores", "not used")
    page.expect_text("#buffers", "2.0 KiB")
    page.expect_text("#tape", "Sell")
    expect(page.page.locator("#tape .side")).to_have_text(["\u2013", "Sell"])
    expect(page.page).to_have_title("Live · Data Collector")


def test_price_changes_while_one_looks(page: Watched, service: ScriptedService) -> None:
    service.say_prices({"ETHUSDT": "3456.78000000"})

    page.expect_text("#symbols tr[data-symbol=ETHUSDT]", "3,456.78")
    assert page.page.locator("#symbols tr[data-symbol=ETHUSDT] .price").get_attribute("data-direction") == "up"


def test_chart_draws_history_and_follows_the_live_candle(page: Watched, service: ScriptedService) -> None:
    page.expect_text("#chart-text", A_PAGE)
    until(lambda: page.number(COLOURS_OF_CHART) > 20, "candles on the canvas")

    at = now_ms() // 60_000 * 60_000
    live = {"open": "100.0", "high": "141.0", "low": "99.0", "close": "140.125", "volume": "5"}
    service.say("candle", {"symbol": "BTCUSDT", "interval": "1m", "time": at + 60_000, "closed": False, **live})

    page.expect_text("#chart-text", "now at 140.125")
    service.say_prices({"BTCUSDT": "140.25000000"})
    page.expect_text("#chart-price", "140.25")


def test_interval_switch_shows_other_candles_and_is_kept_in_the_address(
    page: Watched, service: ScriptedService
) -> None:
    page.page.get_by_role("button", name="1h", exact=True).click()

    page.expect_text("#chart-text", "BTCUSDT, interval 1h")
    page.expect_text("#chart-text", "opened at")
    assert page.page.url.endswith("#BTCUSDT/1h")
    page.page.reload()
    page.expect_text("#chart-text", "BTCUSDT, interval 1h")
    until(lambda: service.viewers == 1, "one viewer only")


def test_scrolling_back_loads_history_until_there_is_no_more(page: Watched, service: ScriptedService) -> None:
    page.expect_text("#chart-text", A_PAGE)
    page.page.locator("#chart").focus()

    def go_back() -> bool:
        page.page.keyboard.press("ArrowLeft")
        return ALL.search(page.text("#chart-text")) is not None

    until(go_back, "the oldest candle")

    older = [query for query in service.asked if "to=" in query]
    assert 2 <= len(older) <= 4


def test_lost_connection_is_told_and_all_is_right_again_afterwards(page: Watched, service: ScriptedService) -> None:
    page.expect_text("#chart-text", A_PAGE)
    service.stop()

    page.expect_text("#live .answer", "No")
    page.expect_text("#live .reason", "The service does not answer. Trying again.")
    page.expect_text("#complete .answer", "Unknown")
    page.expect_text("#spoken", "Live: No. Complete: Unknown. Valid: Unknown.")
    expect(page.page).to_have_title("Not live · Data Collector")

    service.script.prices["BTCUSDT"] = "222.25000000"
    asked = len(service.asked)
    service.start()

    page.expect_text("#live .answer", "Yes")
    page.expect_text("#valid .answer", "Yes")
    page.expect_text("#symbols tr[data-symbol=BTCUSDT]", "222.25")
    until(lambda: len(service.asked) > asked, "the chart's candles asked for again")


def test_service_with_too_many_viewers_is_told_apart_and_tried_again(
    browser: Browser, service: ScriptedService
) -> None:
    service.script.is_full = True
    with opened(browser, service.url) as page:
        page.expect_text("#live .reason", "50 viewers are looking on already. Trying again.")

        service.script.is_full = False

        page.expect_text("#live .answer", "Yes")


def test_page_of_which_a_file_did_not_come_is_loaded_again(page: Watched) -> None:
    failing = iter([True, False])

    def serve(route: Route) -> None:
        route.abort() if next(failing, False) else route.continue_()

    page.page.route("**/assets/tape.js", serve)

    page.page.reload()

    page.expect_text("#connection", "This page did not come as a whole.")
    page.expect_text("#live .answer", "Yes")


def test_bookmark_of_a_symbol_that_is_gone_shows_another(browser: Browser, service: ScriptedService) -> None:
    with opened(browser, f"{service.url}#GONEUSDT/1m") as page:
        page.expect_text("#chart-text", "BTCUSDT, interval 1m")
        page.expect_text("#live .answer", "Yes")


def test_text_of_others_is_text(browser: Browser) -> None:
    refusal = {**REFUSAL, "symbol": HOSTILE, "reasons": [{"rule": HOSTILE, "message": f"Says {HOSTILE}."}]}
    gap: dict[str, object] = {
        "id": f"{HOSTILE}-trade-1", "symbol": HOSTILE, "channel": "trade", "interval": None, "count": 2,
        "state": HOSTILE, "opened_at": None, "closed_at": None, "recorded_at": None, "given_up": {HOSTILE: 2},
    }  # fmt: skip
    script = Script(symbols=[HOSTILE, "BTC/USD"], reasons=[HOSTILE], refused=[refusal], newest_gaps=[gap])
    with scripted(script) as service, opened(browser, service.url) as page:
        for where in ("#symbols", "#chart-title", "#completeness", "#reasons", "#refusals", "#valid .reason", "#gaps"):
            page.expect_text(where, HOSTILE)
        page.expect_text("#chart-text", A_PAGE)

        assert page.page.evaluate("window.attacked") is None
        assert page.page.locator("img").count() == 0


def test_keyboard_moves_selects_and_searches(page: Watched) -> None:
    page.page.locator("#search").focus()
    for _ in range(7):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.dataset.symbol"):
            break
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    focused = page.page.locator("#symbols tr:focus")
    expect(focused).to_have_attribute("data-symbol", "BNBUSDT")
    assert page.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

    page.page.keyboard.press("Enter")

    page.expect_text("#chart-text", "BNBUSDT, interval 1m")
    expect(page.page.locator("#symbols tr[aria-current]")).to_have_attribute("data-symbol", "BNBUSDT")

    page.page.locator("#search").fill("eth")

    expect(page.page.locator("#symbols tr[data-symbol]")).to_have_count(1)
    page.expect_text("#symbols-count", "1 of 3")


def test_keys_move_through_a_long_table_row_by_row(browser: Browser) -> None:
    script = Script(symbols=[f"S{number:04}USDT" for number in range(500)])
    with scripted(script) as service, opened(browser, service.url) as page:
        page.expect_text("#tape", "Sell")
        page.page.locator("#symbols tr[data-symbol=S0002USDT]").focus()

        for key in ["ArrowDown"] * 40 + ["PageDown", "PageUp", "ArrowUp"]:
            page.page.keyboard.press(key)
        expect(page.page.locator("#symbols tr:focus")).to_have_attribute("data-symbol", "S0041USDT")
        page.page.keyboard.press("End")
        expect(page.page.locator("#symbols tr:focus")).to_have_attribute("data-symbol", "S0499USDT")
        expect(page.page.locator("#symbols tr:focus")).to_be_in_viewport()


def test_columns_sort_both_ways_and_say_so(page: Watched, service: ScriptedService) -> None:
    service.say_prices({"ETHUSDT": "3000.0", "BTCUSDT": "60000.0", "BNBUSDT": "500.0"})
    page.expect_text("#symbols", "60,000.00")
    order = "[...document.querySelectorAll('#symbols tr[data-symbol]')].map((row) => row.dataset.symbol).join()"
    button = page.page.locator("#symbols").get_by_role("button", name="Price")

    button.click()
    until(lambda: page.page.evaluate(order) == "BTCUSDT,ETHUSDT,BNBUSDT", "the dearest first")
    assert page.page.locator("#symbols th.price").first.get_attribute("aria-sort") == "descending"
    button.click()
    until(lambda: page.page.evaluate(order) == "BNBUSDT,ETHUSDT,BTCUSDT", "the cheapest first")


def test_control_asks_for_the_token_and_keeps_it_in_memory_only(browser: Browser) -> None:
    with scripted(Script(control="token", token="secret-token")) as service, opened(browser, service.url) as page:
        dialog = page.page.get_by_role("dialog")
        page.page.get_by_role("button", name="Stop collecting").click()
        page.page.get_by_label("Control token").fill("wrong")
        dialog.get_by_role("button", name="Stop", exact=True).click()
        page.expect_text("#control-refusal", "not the CONTROL_TOKEN")

        page.page.get_by_label("Control token").fill("secret-token")
        dialog.get_by_role("button", name="Stop", exact=True).click()

        page.expect_text("#live .reason", "Stopped by operator.")
        page.page.get_by_role("button", name="Start collecting").click()
        expect(page.page.get_by_label("Control token")).to_be_hidden()
        dialog.get_by_role("button", name="Start", exact=True).click()
        page.expect_text("#live .answer", "Yes")
        assert service.controlled == ["stop", "start"]
        kept = page.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
        assert "secret-token" not in kept


def test_control_that_is_closed_has_no_button(browser: Browser) -> None:
    with scripted(Script(control="closed")) as service, opened(browser, service.url) as page:
        page.expect_text("#control-closed", "closed")
        expect(page.page.locator("#control")).to_be_hidden()


def test_faults_are_said_with_their_reasons(browser: Browser) -> None:
    lost = [["BTCUSDT", 99.5, True, 995, 1000, 5, 12, 0], ["ETHUSDT", 100.0, True, 10, 10, 0, 0, 0]]
    script = Script(refused=[REFUSAL], completeness=lost, reasons=["the spool is filling"])
    with scripted(script) as service, opened(browser, service.url) as page:
        page.expect_text("#complete .answer", "No")
        page.expect_text("#complete .reason", "5 trades lost: BTCUSDT.")
        page.expect_text("#complete .figure", "99.5049 %")
        page.expect_text("#valid .reason", "The price must be above zero. (BTCUSDT)")
        page.expect_text("#refusals", "price_positive")
        page.expect_text("#reasons", "the spool is filling")
        assert page.text("#completeness tr[data-symbol]:first-child").startswith("BTCUSDT")

        script.open_gaps = 1

        page.expect_text("#complete .answer", "Repairing")
        page.expect_text("#healing", "1 gap, 7 records")


def test_phone_has_one_column_and_nothing_beside_it(browser: Browser, service: ScriptedService) -> None:
    with opened(browser, service.url, size=PHONE) as page:
        page.expect_text("#symbols", "BTCUSDT")
        page.expect_text("#chart-text", A_PAGE)
        best = {"bid": "123456.12345678", "bid_quantity": "1.1", "ask": "123456.12345679", "ask_quantity": "2.2"}
        service.say("quote", {"symbol": "BTCUSDT", **best})
        page.expect_text("#stat-ask", "123,456.12345679")

        assert page.number("document.documentElement.scrollWidth - innerWidth") <= 0
        shown = "[...document.querySelectorAll('.panel, .headline')].filter((e) => e.checkVisibility())"
        boxes = f"{shown}.map((e) => e.getBoundingClientRect().left)"
        assert page.number(f"new Set({boxes}).size") == 1
        cut = "[...document.querySelectorAll('#symbols td')].filter((e) => e.scrollWidth > e.clientWidth).length"
        assert page.number(cut) == 0


def test_both_schemes_have_the_contrast_that_text_needs(page: Watched) -> None:
    for scheme in ("light", "dark"):
        page.page.locator("#theme").select_option(scheme)

        assert page.page.evaluate(CONTRASTS) == [], scheme
    page.page.reload()
    expect(page.page.locator("html")).to_have_attribute("data-theme", "dark")


def test_events_without_frames_do_not_pile_up(page: Watched, service: ScriptedService) -> None:
    """A hidden tab gets events and no frames."""
    page.page.evaluate("""() => {
      window.kept = [];
      window.frames_given = window.requestAnimationFrame;
      window.requestAnimationFrame = (draw) => window.kept.push(draw);
    }""")
    for step in range(200):
        service.say_prices({"BTCUSDT": f"{step + 1}.0"})
    service.say("prices", {"at": now_ms(), "rows": [["LASTUSDT", "1", None, None, None]]})
    until(lambda: "4 " not in page.text("#symbols-count"), "nothing drawn")

    until(lambda: page.number("window.kept.length") >= 1, "a frame asked for")
    assert page.number("window.kept.length") <= 2
    page.page.evaluate(
        "() => { window.requestAnimationFrame = window.frames_given; window.kept.forEach((draw) => draw()); }"
    )
    page.expect_text("#symbols tr[data-symbol=BTCUSDT]", "200.00")


def test_two_thousand_symbols_stream_without_jank(browser: Browser) -> None:
    symbols = [f"S{number:04}USDT" for number in range(2000)]
    with scripted(Script(symbols=symbols)) as service, opened(browser, service.url) as page:
        page.expect_text("#symbols-count", "2,000")
        page.expect_text("#chart-text", A_PAGE)
        still = page.number(COUNT_FRAMES)
        assert page.number("document.querySelectorAll('#symbols tr[data-symbol]').length") < 60
        # Every price changes five times a second, while the table scrolls.
        page.page.evaluate("""() => {
          const box = document.getElementById("symbols");
          setInterval(() => { box.scrollTop += 40; }, 50);
        }""")

        with streaming(service, symbols):
            moving = page.number(COUNT_FRAMES)

        shown = "document.querySelector('#symbols tbody tr[data-symbol]').dataset.symbol"
        assert page.page.evaluate(shown) != symbols[0]
    print(
        f"frames per second with 2,000 symbols: {moving:.1f} streaming, {still:.1f} still, ratio {moving / still:.2f}"
    )
    assert moving > 5
