"""What a change of subscriptions would do, worked out from what there is."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.model.keys import Key
from data_collector.model.subscriptions import Change, DesiredSubscriptions, GroupStreams, Present, Subscriptions
from data_collector.service.subscription_plan import (
    change_of,
    first_fill_weight,
    groups_of,
    listing_faults,
    plan_groups,
    subscriptions_of,
    wanted_of,
)
from data_collector.settings import load_settings
from data_collector.venues.binance.venue import VENUE
from tests.unit.pipeline.connections.answering import PlainCodec

NARROW = structs.replace(VENUE, limits=structs.replace(VENUE.limits, streams_per_connection=3))
TRADES = Subscriptions(("BTCUSDT", "ETHUSDT"), ("1m",), ("trade",))
SETTINGS = load_settings({}, env_file=None)


def trades(*symbols: str) -> Subscriptions:
    return structs.replace(TRADES, symbols=symbols)


def planned(before: Subscriptions, after: Subscriptions, *, lines: int = 1) -> Change:
    first = plan_groups([], list(before.every_key()), NARROW, lines_per_stream=lines)
    groups = [(each.lines, each.added) for each in first]
    plans = plan_groups(groups, list(after.every_key()), NARROW, lines_per_stream=lines)
    return change_of(plans, before, after, NARROW, SETTINGS)


def test_no_change_touches_nothing() -> None:
    change = planned(TRADES, TRADES)

    assert (change.added, change.removed, change.unchanged, change.connections) == ([], [], 2, [])
    assert (change.connections_untouched, change.control_messages, change.seconds) == (1, 0, 0.0)
    assert (change.store_bytes, change.rest_weight) == (change.store_bytes_before, 0)


def test_new_stream_goes_where_there_is_room() -> None:
    change = planned(TRADES, trades("BTCUSDT", "ETHUSDT", "SOLUSDT"))

    assert change.added == ["solusdt@trade"]
    (touched,) = change.connections
    assert (touched.line, touched.is_new, touched.subscribe, touched.streams) == ("1", False, 1, 3)
    assert touched.control_messages == 2


@pytest.mark.parametrize(("lines", "names"), [(1, ["1", "2"]), (2, ["1A", "1B", "2A", "2B"])])
def test_what_finds_no_room_gets_new_connections(lines: int, names: list[str]) -> None:
    change = planned(TRADES, trades("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"), lines=lines)

    assert [each.line for each in change.connections] == names
    assert [each.is_new for each in change.connections] == [False] * lines + [True] * lines
    assert change.unchanged == 2


def test_removed_streams_make_room_for_new_ones_and_others_stay() -> None:
    change = planned(trades("BTCUSDT", "ETHUSDT", "SOLUSDT"), trades("BTCUSDT", "XRPUSDT", "SOLUSDT"))

    assert (change.added, change.removed, change.unchanged) == (["xrpusdt@trade"], ["ethusdt@trade"], 2)
    assert [(each.subscribe, each.unsubscribe) for each in change.connections] == [(1, 1)]


def test_connection_that_loses_its_last_stream_needs_no_message() -> None:
    change = planned(trades("A", "B", "C", "D"), trades("A", "B", "C"))

    assert [(each.line, each.streams, each.control_messages) for each in change.connections] == [("2", 0, 0)]
    assert change.connections_untouched == 1


def test_many_streams_take_many_messages_at_the_limit_of_the_exchange() -> None:
    many = trades(*(f"S{number}USDT" for number in range(1_000)))
    plans = plan_groups([], list(many.every_key()), VENUE, lines_per_stream=1)

    (touched,) = change_of(plans, trades(), many, VENUE, SETTINGS).connections

    # Five messages of 200 names and the check; four go out at once.
    assert (touched.control_messages, touched.seconds) == (6, 1.0)


def test_exchange_that_does_not_tell_what_is_subscribed_is_not_asked() -> None:
    venue = structs.replace(VENUE, codec=PlainCodec())
    plans = plan_groups([], list(TRADES.every_key()), venue, lines_per_stream=1)

    (touched,) = change_of(plans, trades(), TRADES, venue, SETTINGS).connections

    assert touched.control_messages == 1


def test_all_faults_of_a_wish_are_named_at_once() -> None:
    faults: list[str] = []

    wanted_of(TRADES, DesiredSubscriptions(("B T C",), ("10m", "2x"), ("news",)), VENUE, faults)

    assert [fault.partition(":")[0] for fault in faults] == ["symbols", "intervals", "channels"]


def test_interval_that_only_other_exchanges_have_is_a_fault() -> None:
    faults: list[str] = []

    wanted_of(TRADES, DesiredSubscriptions(intervals=("10m",)), VENUE, faults)

    assert faults == [f"intervals: binance has no 10m; it has {', '.join(VENUE.intervals)} (case matters)."]


def test_channel_that_only_other_exchanges_have_is_a_fault() -> None:
    faults: list[str] = []
    venue = structs.replace(VENUE, channels=("kline", "trade"))

    wanted_of(TRADES, DesiredSubscriptions(channels=("trade", "quote")), venue, faults)

    assert faults == ["channels: binance has no quote; it has kline, trade."]


def test_what_a_wish_leaves_out_stays() -> None:
    faults: list[str] = []

    wanted = wanted_of(TRADES, DesiredSubscriptions(symbols=("solusdt", "BTCUSDT")), VENUE, faults)

    assert (wanted, faults) == (trades("SOLUSDT", "BTCUSDT"), [])
    assert len(listing_faults(wanted, {}, VENUE)) == 1


def test_what_a_collector_tells_is_understood() -> None:
    present = Present(["BTCUSDT"], ["1m"], ["kline", "trade"], [GroupStreams(["1"], ["btcusdt@trade", "x@depth"])])

    assert subscriptions_of(present) == Subscriptions(("BTCUSDT",), ("1m",), ("kline", "trade"))
    assert groups_of(present, VENUE) == [(["1"], [Key("trade", "BTCUSDT")])]


@pytest.mark.parametrize(
    ("symbols", "new_symbols", "new_series", "weight"),
    [(2, 0, 0, 0), (2, 0, 4, 12), (20, 1, 0, 22), (21, 1, 1, 63), (120, 1, 0, 62), (201, 1, 0, 100)],
)
def test_weight_of_the_first_fill(symbols: int, new_symbols: int, new_series: int, weight: int) -> None:
    assert first_fill_weight(VENUE.cost, symbols=symbols, new_symbols=new_symbols, new_series=new_series) == weight
