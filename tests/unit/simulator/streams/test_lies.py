"""Lies: records that are not so, in the form of each exchange."""

from __future__ import annotations

import pytest
from msgspec import structs

from data_collector.simulator.control.faults import Faults, Lie
from data_collector.simulator.streams.lies import lying_record
from data_collector.venues.discovery import find_speaker
from tests.market import kline, ticker, trade


@pytest.mark.parametrize("exchange", ["binance", "coinbase", "kraken"])
def test_each_exchange_can_tell_a_lie(exchange: str) -> None:
    speak = find_speaker(exchange).speak

    assert b"1000007" in speak(lying_record(trade(7), Lie(ids=1_000_000)))


def test_every_time_and_id_is_off_by_as_much() -> None:
    lie = Lie(ids=5, times_ms=60_000, price="1.5", closes=True)
    off_ms = {name: getattr(kline(), name) + 60_000 for name in ("open_ms", "close_ms", "event_ms")}
    trade_ms = {name: getattr(trade(), name) + 60_000 for name in ("time_ms", "event_ms")}
    told_ms, last_id = ticker().event_ms + 60_000, (ticker().last_id or 0) + 5

    assert lying_record(trade(7), lie) == structs.replace(trade(12), price="1.5", **trade_ms)
    assert lying_record(kline(is_closed=False), lie) == structs.replace(kline(), is_closed=True, **off_ms)
    assert lying_record(ticker(), lie) == structs.replace(
        ticker(), event_ms=told_ms, last_id=last_id, last_price="1.5"
    )  # fmt: skip


def test_lie_strikes_its_streams_its_klines_and_so_many_times() -> None:
    faults = Faults(seed=1)
    faults.add(Lie(stream="*@kline_1m", closed=False, count=1))

    closing, running = kline(is_closed=True), kline(is_closed=False)
    assert faults.lie("btcusdt@trade", trade()) is None
    assert faults.lie("btcusdt@kline_1m", closing) is None
    assert faults.lie("btcusdt@kline_1m", running) is not None
    assert faults.lie("btcusdt@kline_1m", running) is None
    assert faults.hit_counts == {"lie": 1}
