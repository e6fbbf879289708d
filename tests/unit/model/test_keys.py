from __future__ import annotations

from data_collector.model.keys import StoreKeys

KRAKEN = StoreKeys("kraken:")


def test_keys_of_binance_have_no_prefix() -> None:
    assert StoreKeys().key("trades", "BTCUSDT") == "trades:BTCUSDT"


def test_keys_of_another_exchange_begin_with_its_name() -> None:
    assert KRAKEN.key("trades", "BTC/USD") == "kraken:trades:BTC/USD"
    assert KRAKEN.own("source") == "kraken:collector:source"
    assert KRAKEN.cursors("BTC/USD") == "kraken:collector:klines:BTC/USD"


def test_kline_keys_end_with_interval_and_open_time() -> None:
    key = KRAKEN.kline("BTC/USD", "1m", "2024-01-01T12:00:00+00:00")

    assert key == "kraken:kline:BTC/USD:1m:2024-01-01T12:00:00+00:00"


def test_the_kind_can_be_told_from_a_key() -> None:
    assert KRAKEN.kind_of("kraken:gaps:BTC/USD") == "gaps"
    assert StoreKeys().kind_of("late:BTCUSDT") == "late"
