"""How the dashboard's three answers are made, asked of its own module in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from tests.browser.scripted_service import Script, scripted
from tests.browser.test_dashboard import REFUSAL
from tests.browser.watched_page import Watched, opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Watched]:
    """One for all: nothing here changes it."""
    with scripted(Script()) as service, opened(browser, service.url) as watched:
        yield watched


QUIET = {"metrics": {"last_message_seconds_ago": 75.0}}
AWAY = {"connections": [{"state": "waiting", "last_error": "refused by the exchange"}]}
HALF = {"connections": [{"state": "connected"}, {"state": "connecting"}]}
DEAD = {"health": {"status": "unhealthy", "collector_running": True, "reasons": ["the store takes nothing"]}}
FIRST = {"metrics": {"last_message_seconds_ago": None}}


@pytest.mark.parametrize(
    ("differing", "answer", "reason"),
    [
        (QUIET, "Quiet", "The newest message is 75 s old."),
        (AWAY, "No", "Refused by the exchange."),
        (HALF, "Yes", "The newest came less than a second ago, over 1 of 2 connections."),
        (DEAD, "No", "The store takes nothing."),
        (FIRST, "Not yet", "No message has come yet."),
        (FIRST | AWAY, "Not yet", "Running, but not connected yet: refused by the exchange."),
    ],
)
def test_live_is_answered_with_the_reason(page: Watched, differing: object, answer: str, reason: str) -> None:
    verdict = page.page.evaluate(
        """async ([state, differing]) => {
          const { liveVerdict } = await import("/assets/verdicts.js");
          return liveVerdict({ phase: "live", since: 0, reason: "" }, { ...state, ...differing }, 0);
        }""",
        [Script().state(), differing],
    )

    assert (verdict["answer"], verdict["reason"]) == (answer, reason)


@pytest.mark.parametrize(
    ("rows", "answer", "reason"),
    [
        ([], "Not yet", "Nothing is stored yet."),
        ([["BTCUSDT", None, False, 0, 0, 0, 0, 0]], "Not yet", "Nothing is stored yet."),
        ([["BTCUSDT", 90.0, False, 9, 10, 0, 0, 0]], "Not proven", "The store's own counts do not add up: BTCUSDT."),
        ([["BTCUSDT", 90.0, True, 9, 12, 0, 0, 0]], "Not fully", "1 trade not held, each declared"),
        ([["BTCUSDT", 100.0, True, 9, 12, 0, 0, 0]], "Yes", "All 9 trades of 1 symbol held"),
    ],
)
def test_complete_is_answered_with_the_reason(page: Watched, rows: object, answer: str, reason: str) -> None:
    verdict = page.page.evaluate(
        """async ([state, rows]) => {
          const { completeVerdict, tally } = await import("/assets/verdicts.js");
          return completeVerdict(state, tally(rows));
        }""",
        [Script().state(), rows],
    )

    assert verdict["answer"] == answer
    assert reason in verdict["reason"]


def progress(page: Watched, **audit: object) -> tuple[object, object]:
    """What the tile and the answer say of the audit."""
    state = {**Script().state(), "audit": {"state": "running", "every_seconds": 300.0, **audit}}
    found = page.page.evaluate(
        """async (state) => {
          const { validVerdict } = await import("/assets/verdicts.js");
          const { ValidationPanel } = await import("/assets/validation.js");
          new ValidationPanel().take(null, state);
          return [document.getElementById("audited").textContent, validVerdict(state, null, 0).reason];
        }""",
        state,
    )
    return found[0], found[1].partition("every rule. ")[2]


def test_page_follows_the_rhythm_of_the_audit(page: Watched) -> None:
    """Before the first look 0 % is no news, and what waits for the next one is not behind."""
    looked = "Great Expectations has checked"

    for coverage, next_s, tile, reason in (
        (0.0, 240.0, "in 4 min", f"{looked} 0 % of them again, and looks at the rest in 4 min."),
        (0.9876, 30.0, "98.7 %", f"{looked} 98.7 % of them again, and looks at the rest in 30 s."),
        (1.0, None, "100 %", f"{looked} 100 % of them again."),
    ):
        assert progress(page, coverage=coverage, next_seconds=next_s) == (tile, reason)


def test_base_and_quote_are_seen_in_every_way_of_writing(page: Watched) -> None:
    """A joined name may be cut in two ways: what other exchanges write with a sign decides."""
    found = page.page.evaluate(
        """async (symbols) => {
          const { pairOf } = await import("/assets/pair.js");
          return symbols.map(([symbol, known]) => Object.values(pairOf(symbol, known) ?? {}).join(" "));
        }""",
        [
            ["BTC/USD", []], ["BTC-USD", []], ["BTCUSDT", []], ["BTCFDUSD", []], ["ETHBTC", []],
            ["DOTUSD", ["DOT/EUR"]], ["DOTUSD", ["DOT-USD"]], ["BTCPLN", ["ETH/PLN"]], ["USDT", []],
            ["BTC-USD-PERP", []],
        ],
    )  # fmt: skip

    assert found == [
        "BTC USD", "BTC USD", "BTC USDT", "BTC FDUSD", "ETH BTC", "DOT USD", "DOT USD", "BTC PLN", "", "",
    ]  # fmt: skip


def test_refusal_of_no_time_is_left_out_and_hides_no_other(browser: Browser) -> None:
    """An entry of somebody else in `quarantine:`, with `at: "whenever"`, made "Not all" a "Yes … NaN d ago"."""
    recent = {**REFUSAL, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
    script = Script(refused=[{**REFUSAL, "at": "whenever"}, recent])
    with scripted(script) as service, opened(browser, service.url) as page:
        page.expect_text("#valid .reason", "ago: The price must be above zero. (BTCUSDT)")
        page.expect_text("#refusals", "price_positive")
        assert page.text("#valid .answer") == "Not all"
        assert "NaN" not in page.text("#valid")
