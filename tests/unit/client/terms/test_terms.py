"""What is asked for in words: times, series, positions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from data_collector.client import WrongQuestion
from data_collector.client.terms.position import (
    KlinesPlace,
    LatePlace,
    Place,
    Position,
    TradesPlace,
    position_of,
    position_text,
)
from data_collector.client.terms.series import series_of, store_keys
from data_collector.client.terms.times import Time, time_ms
from data_collector.model.keys import Key
from tests.market import MINUTE_MS, NOON_MS

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        (NOON, NOON_MS),
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON_MS),
        (NOON + timedelta(microseconds=1), NOON_MS + 1),
        ("2024-01-01T12:00:00Z", NOON_MS),
        ("2024-01-01T13:00:00+01:00", NOON_MS),
        ("2024-01-01", NOON_MS - 12 * 60 * MINUTE_MS),
        (NOON_MS, NOON_MS),
        ("-90m", NOON_MS - 90 * MINUTE_MS),
        ("-2d", NOON_MS - 2 * 24 * 60 * MINUTE_MS),
    ],
)
def test_times_are_milliseconds(time: Time, ms: int) -> None:
    assert time_ms("start", time, NOON_MS) == ms


@pytest.mark.parametrize(
    "time",
    ["", "-3x", "noon", -1, 10**15, "2024-01-01T12:00:00", datetime(2024, 1, 1), date(2024, 1, 1), 1.7e12, None],  # noqa: DTZ001
)
def test_what_is_no_time_is_refused_by_the_name_of_the_parameter(time: object) -> None:
    with pytest.raises(WrongQuestion, match=r"^end="):
        time_ms("end", time, NOON_MS)


def test_series_are_named_by_symbol_and_what_is_read() -> None:
    assert series_of("BTCUSDT:trades") == Key("trade", "BTCUSDT")
    assert series_of("BTC/USD:1M") == Key("kline", "BTC/USD", "1M")
    assert store_keys("binance").key("trades", "BTCUSDT") == "trades:BTCUSDT"
    assert store_keys("kraken").key("trades", "BTC/USD") == "kraken:trades:BTC/USD"


def test_position_is_what_was_read_by_meaning() -> None:
    places: dict[str, Place] = {
        "trades:BTCUSDT": TradesPlace(0, 4_778_244_032, "1795984117359-4778244032"),
        "trades:ETHUSDT": TradesPlace(),
        "stream:BTCUSDT": KlinesPlace({"1m": NOON_MS}, "1795984145770-0"),
        "late:BTCUSDT": LatePlace("5-1"),
    }

    position = Position(places, "the simulated market 1")
    text = position_text(position)

    assert position_of(text) == position
    assert text == (
        '{"v":1,"source":"the simulated market 1",'
        '"trades:BTCUSDT":[0,4778244032,"1795984117359-4778244032"],"trades:ETHUSDT":[0,null,"0-0"],'
        '"stream:BTCUSDT":{"1m":"2024-01-01T12:00:00+00:00","@":"1795984145770-0"},"late:BTCUSDT":"5-1"}'
    )
    older = text.replace('"source":"the simulated market 1",', "")
    assert position_of(older) == Position(places)


@pytest.mark.parametrize(
    "text",
    [
        "[]", '{"v":2}', '{"v":1,"a":[1]}', '{"v":1,"a":"$"}', '{"v":1,"a":{"1m":"noon","@":"0-0"}}',
        '{"v":1,"a":{"1m":"2024-01-01T12:00:00","@":"0-0"}}',
    ],
)  # fmt: skip
def test_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(WrongQuestion, match=r"^position is "):
        position_of(text)
