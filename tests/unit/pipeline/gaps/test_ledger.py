"""The lives of gaps: opened, narrowed, healed or given up, and what is kept of them."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from data_collector.model.keys import Key
from data_collector.model.status import HEAL_BOUNDS_S, GapLife
from data_collector.observe.counters import Counters
from data_collector.pipeline.gaps.ledger import (
    CLOSED_KEPT,
    EVENTS_KEPT,
    LOG_WINDOW_S,
    LOGGED_PER_WINDOW,
    OPEN_KEPT,
    REFUSED_LOG_WINDOW_S,
    TOLD,
    Ledger,
    gap_id,
)
from tests.clock import Clock
from tests.market import MINUTE_MS, NOON_MS, SYMBOL

TRADES = Key("trade", SYMBOL)


@pytest.fixture
def clock() -> Clock:
    return Clock(1_704_110_400.0)


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def ledger(clock: Clock, counters: Counters) -> Ledger:
    return Ledger(clock, counters)


def only_open(ledger: Ledger) -> GapLife:
    (life,) = ledger.status().open
    return life


def only_closed(ledger: Ledger) -> GapLife:
    (life,) = ledger.status().closed
    return life


def whats(life: GapLife) -> list[str]:
    return [event.what for event in life.events]


def test_opened_gap_waits_for_all_of_its_records(ledger: Ledger, clock: Clock) -> None:
    ledger.opened(TRADES, 1201, 1210)
    clock.now_s += 7

    status = ledger.status()

    assert (status.open_count, status.missing, status.oldest_open_s) == (1, 10, 7.0)
    life = only_open(ledger)
    assert (life.id, life.first, life.last, life.count) == (f"{SYMBOL}-trade-1201", 1201, 1210, 10)


def test_partial_healing_narrows_the_gap_and_the_rest_closes_it(
    ledger: Ledger, clock: Clock, counters: Counters
) -> None:
    ledger.opened(TRADES, 1, 10)

    ledger.healed(TRADES, 1, 4, "spool")
    assert only_open(ledger).missing == 6
    clock.now_s += 2
    ledger.healed(TRADES, 5, 10, "rest")

    life = only_closed(ledger)
    assert (life.healed, life.missing, ledger.status().open_count) == ({"spool": 4, "rest": 6}, 0, 0)
    assert counters.value("data_collector_gap_filled_total", channel="trade", source="rest") == 6
    (totals,) = ledger.status().totals
    assert totals.healed == {"spool": 4, "rest": 6}
    assert (sum(totals.heal_counts), totals.heal_counts[HEAL_BOUNDS_S.index(2.5)]) == (1, 1)
    assert totals.heal_longest_s == 2.0


def test_record_that_comes_twice_heals_once(ledger: Ledger, counters: Counters) -> None:
    ledger.opened(TRADES, 1, 10)

    ledger.healed(TRADES, 3, 3, "ws")
    ledger.healed(TRADES, 1, 5, "rest")

    assert only_open(ledger).healed == {"ws": 1, "rest": 4}
    assert counters.value("data_collector_gap_filled_total", channel="trade", source="rest") == 4


def test_record_of_no_gap_heals_nothing(ledger: Ledger, counters: Counters) -> None:
    ledger.healed(TRADES, 1, 5, "rest")

    assert not ledger.status().closed
    assert counters.value("data_collector_gap_filled_total", channel="trade", source="rest") == 0


def test_gap_that_is_told_again_stays_as_it_is_and_one_that_grows_keeps_its_id(ledger: Ledger) -> None:
    ledger.opened(TRADES, 5, 10)
    ledger.opened(TRADES, 5, 10)
    assert whats(only_open(ledger)) == ["opened"]

    ledger.opened(TRADES, 11, 20)

    life = only_open(ledger)
    assert (life.id, life.last, life.count, life.missing) == (f"{SYMBOL}-trade-5", 20, 16, 16)
    assert whats(life) == ["opened", "grown"]


def test_two_holes_of_a_symbol_are_two_gaps(ledger: Ledger) -> None:
    ledger.opened(TRADES, 5, 10)
    ledger.opened(TRADES, 15, 16)

    ledger.healed(TRADES, 5, 10, "ws")

    assert only_open(ledger).first == 15


def test_given_up_part_is_no_healing(ledger: Ledger, counters: Counters) -> None:
    ledger.opened(TRADES, 1, 10)
    ledger.healed(TRADES, 1, 8, "rest")

    with capture_logs() as logs:
        ledger.given_up(TRADES, 9, 10, "lost")

    life = only_closed(ledger)
    assert (life.healed, life.given_up) == ({"rest": 8}, {"lost": 2})
    assert sum(ledger.status().totals[0].heal_counts) == 0
    (told,) = logs
    assert (told["event"], told["log_level"], told["reason"], told["count"]) == ("gap_given_up", "warning", "lost", 2)


def test_range_passed_over_without_having_been_open_is_a_life_too(ledger: Ledger) -> None:
    ledger.given_up(TRADES, 7, 7, "refused")

    life = only_closed(ledger)
    assert (life.id, life.given_up, whats(life)) == (f"{SYMBOL}-trade-7", {"refused": 1}, ["opened", "given_up"])
    assert ledger.status().open_count == 0


def test_klines_are_counted_by_the_calendar(ledger: Ledger) -> None:
    ledger.opened(Key("kline", SYMBOL, "1m"), NOON_MS, NOON_MS + 4 * MINUTE_MS)
    ledger.healed(Key("kline", SYMBOL, "1m"), NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS, "built")
    assert only_open(ledger).missing == 3

    ledger.healed(Key("kline", SYMBOL, "1m"), NOON_MS, NOON_MS, "rest")
    ledger.healed(Key("kline", SYMBOL, "1m"), NOON_MS + 3 * MINUTE_MS, NOON_MS + 4 * MINUTE_MS, "rest")

    assert only_closed(ledger).healed == {"built": 2, "rest": 3}
    assert ledger.status().totals[0].channel == "kline"


def test_klines_built_in_a_quiet_market_are_counted_and_push_no_gap_out(ledger: Ledger, counters: Counters) -> None:
    ledger.opened(TRADES, 1, 1)
    ledger.healed(TRADES, 1, 1, "rest")
    for minute in range(2 * CLOSED_KEPT):
        open_ms = NOON_MS + minute * MINUTE_MS
        if minute % 2:
            ledger.opened(Key("kline", SYMBOL, "1m"), open_ms, open_ms)
        ledger.healed(Key("kline", SYMBOL, "1m"), open_ms, open_ms, "built")

    assert only_closed(ledger).key == TRADES
    assert counters.value("data_collector_gap_filled_total", channel="kline", source="built") == 2 * CLOSED_KEPT


def test_what_is_tried_again_and_again_is_one_event_of_each_kind(ledger: Ledger, clock: Clock) -> None:
    ledger.opened(TRADES, 1, 10)
    for _ in range(100):
        clock.now_s += 1
        ledger.noted(TRADES, "rest_asked")
        ledger.noted(TRADES, "rest_failed")

    assert whats(only_open(ledger)) == ["opened", "rest_asked", "rest_failed"]
    event = only_open(ledger).events[-1]
    assert (event.times, event.until_s) == (100, clock.now_s)


def test_life_with_many_events_keeps_its_beginning_and_its_end(ledger: Ledger) -> None:
    ledger.opened(TRADES, 1, 10)
    for number in range(100):
        ledger.noted(TRADES, f"tried_{number}")

    life = only_open(ledger)
    assert (len(life.events), life.events_left_out) == (EVENTS_KEPT, 101 - EVENTS_KEPT)
    assert (life.events[0].what, life.events[-1].what) == ("opened", "tried_99")


def test_closed_lives_are_bounded_and_the_newest_are_told_first(ledger: Ledger) -> None:
    for number in range(CLOSED_KEPT + 10):
        ledger.opened(TRADES, 10 * number, 10 * number)
        ledger.healed(TRADES, 10 * number, 10 * number, "ws")

    closed = ledger.status().closed
    assert len(closed) == TOLD
    assert closed[0].first == 10 * (CLOSED_KEPT + 9)
    assert ledger.status().totals[0].gaps == CLOSED_KEPT + 10


def test_more_holes_than_are_kept_are_still_closed_exactly(ledger: Ledger) -> None:
    holes = range(1, 10 * OPEN_KEPT, 3)
    for first in holes:
        ledger.opened(TRADES, first, first)
    assert (ledger.status().open_count, ledger.status().missing) == (OPEN_KEPT, len(holes))

    for first in holes:
        ledger.healed(TRADES, first, first, "ws")

    assert ledger.status().open_count == 0


def test_many_gaps_at_once_are_logged_sparingly(ledger: Ledger, clock: Clock) -> None:
    with capture_logs() as logs:
        for number in range(1000):
            ledger.opened(Key("trade", f"S{number}"), 1, 1)
        clock.now_s += LOG_WINDOW_S
        ledger.opened(Key("trade", "LAST"), 1, 1)

    assert len(logs) == LOGGED_PER_WINDOW + 1
    assert logs[-1]["left_out_before"] == 1000 - LOGGED_PER_WINDOW


def test_snapshot_does_not_change_when_the_gap_does(ledger: Ledger) -> None:
    ledger.opened(TRADES, 1, 10)
    before = only_open(ledger)

    ledger.healed(TRADES, 1, 5, "ws")
    ledger.healed(TRADES, 6, 7, "ws")

    assert (before.missing, before.healed, whats(before)) == (10, {}, ["opened"])


def test_healing_in_many_pages_is_one_event_that_grows(ledger: Ledger) -> None:
    ledger.opened(TRADES, 1, 10)
    ledger.healed(TRADES, 1, 5, "rest")
    ledger.healed(TRADES, 6, 7, "rest")

    event = only_open(ledger).events[-1]
    assert (event.first, event.last, event.count, event.times) == (1, 7, 7, 2)


@pytest.mark.parametrize(
    ("key", "first", "expected"),
    [
        (Key("trade", "BTCUSDT"), 1201, "BTCUSDT-trade-1201"),
        (Key("kline", "BTCUSDT", "1m"), 1_704_110_400_000, "BTCUSDT-1m-2024-01-01T12:00:00"),
        (Key("trade", "BTC/USD"), 7, "BTC%2FUSD-trade-7"),
    ],
)
def test_id_stands_in_a_url(key: Key, first: int, expected: str) -> None:
    assert gap_id(key, first) == expected


def test_open_gaps_are_counted_with_what_they_lack_and_their_age(
    ledger: Ledger, clock: Clock, counters: Counters
) -> None:
    ledger.opened(TRADES, 1, 10)
    clock.now_s += 30
    ledger.opened(Key("trade", "ETHUSDT"), 5, 5)

    ledger.status()

    assert counters.value("data_collector_gaps_open") == 2
    assert counters.value("data_collector_gaps_missing_records") == 11
    assert counters.value("data_collector_gaps_oldest_open_seconds") == 30


def test_refused_records_are_logged_once_a_rule_with_the_count_of_those_left_out(ledger: Ledger, clock: Clock) -> None:
    with capture_logs() as logs:
        for number in range(100):
            ledger.given_up(TRADES, number, number, "refused", rules=("price_cap",))
        ledger.given_up(TRADES, 100, 100, "refused", rules=("size_cap",))
        clock.now_s += REFUSED_LOG_WINDOW_S
        ledger.given_up(TRADES, 101, 101, "refused", rules=("price_cap",))

    assert [(line["rules"], line.get("left_out_before")) for line in logs] == [
        ("price_cap", None),
        ("size_cap", None),
        ("price_cap", 99),
    ]
