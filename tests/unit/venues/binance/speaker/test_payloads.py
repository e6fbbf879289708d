"""The payloads that the simulator sends: the exchange's keys, in its order, in either time unit."""

from __future__ import annotations

from data_collector.model.records import Record
from data_collector.venues.binance.speaker.frames import payload_of
from tests.market import NOON_MS, aggregate_trade, kline, mini_ticker, quote, ticker, trade

MILLISECONDS, MICROSECONDS = 1, 1000


def test_trade_without_order_ids_has_exactly_todays_keys() -> None:
    # As in the recording of August 2024.
    assert list(payload_of(trade(), MILLISECONDS)) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]


def test_trade_with_order_ids_has_those_of_before() -> None:
    payload = payload_of(trade(buyer_order_id=88, seller_order_id=50), MILLISECONDS)

    assert list(payload) == ["e", "E", "s", "t", "p", "q", "b", "a", "T", "m", "M"]
    assert (payload["b"], payload["a"]) == (88, 50)


def test_microseconds_multiply_every_time() -> None:
    payload = payload_of(trade(sub_ms_us=45), MICROSECONDS)

    assert (payload["T"], payload["E"]) == ((NOON_MS + 123) * 1000 + 45, (NOON_MS + 124) * 1000)


def test_trade_without_microseconds_ends_in_zeros() -> None:
    assert payload_of(trade(), MICROSECONDS)["T"] == (NOON_MS + 123) * 1000


def test_milliseconds_drop_the_microseconds() -> None:
    assert payload_of(trade(sub_ms_us=45), MILLISECONDS)["T"] == NOON_MS + 123


def test_kline_ends_one_unit_before_the_next_opens() -> None:
    in_milliseconds, in_microseconds = (payload_of(kline(), unit)["k"] for unit in (MILLISECONDS, MICROSECONDS))

    assert isinstance(in_milliseconds, dict)
    assert isinstance(in_microseconds, dict)
    assert in_milliseconds["T"] == NOON_MS + 59_999
    assert in_microseconds["T"] == (NOON_MS + 60_000) * 1000 - 1


def test_keys_of_every_kind_are_those_of_the_exchanges_page() -> None:
    expected: list[tuple[Record, str]] = [
        (kline(), "e E s k"),
        (ticker(), "e E s p P w x c Q b B a A o h l v q O C F L n"),
        (mini_ticker(), "e E s c o h l v q"),
        (aggregate_trade(), "e E s a p q f l T m M"),
        (quote(), "u s b B a A"),
    ]

    assert [" ".join(payload_of(record, MILLISECONDS)) for record, _ in expected] == [keys for _, keys in expected]
