from __future__ import annotations

import json
from typing import get_args

import pytest

from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import CHANNEL_OF, CHANNELS, CollectedRecord, channel_by_keys, collected, key_of
from data_collector.model.grid import IdGrid, KlineGrid, grid_of
from data_collector.model.keys import Collected, Key
from data_collector.model.records import AggregateTrade, Record
from data_collector.model.wire import kline_json, quote_json, trade_json
from tests.market import SYMBOL, kline, quote, ticker, trade


def test_every_channel_that_can_be_collected_is_declared_once() -> None:
    assert tuple(CHANNELS) == get_args(Collected)
    assert {channel.record for channel in CHANNELS.values()} == set(get_args(CollectedRecord))
    assert len(CHANNEL_OF) == len(CHANNELS)


def test_numbers_and_identities_are_fields_of_the_record() -> None:
    for channel in CHANNELS.values():
        assert {channel.number, *channel.identity} <= set(channel.record.__struct_fields__)


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (trade(1), Key("trade", SYMBOL)),
        (kline(), Key("kline", SYMBOL, "1m")),
        (ticker(), Key("ticker", SYMBOL)),
        (quote(), Key("quote", SYMBOL)),
        (AggregateTrade(SYMBOL, 1, "1", "1", 1, 1, 1, 1, True), Key("aggTrade", SYMBOL)),
    ],
)
def test_record_tells_the_stream_that_it_belongs_to(record: Record, key: Key) -> None:
    assert key_of(record) == key


@pytest.mark.parametrize("channel", CHANNELS)
def test_keys_of_a_record_lead_to_its_own_channel(channel: Collected) -> None:
    assert channel_by_keys(CHANNELS[channel].record.__struct_fields__) == channel


@pytest.mark.parametrize(
    ("stored", "channel"),
    [
        (trade_json(trade(), f'"{SYMBOL}"'), "trade"),
        (kline_json(kline(), f'"{SYMBOL}"'), "kline"),
        (quote_json(quote()), "quote"),
    ],
)
def test_keys_of_an_entry_of_a_stream_lead_to_its_channel(stored: str, channel: Collected) -> None:
    assert channel_by_keys(json.loads(stored)) == channel


def test_what_is_decoded_for_subclasses_only_is_not_collected() -> None:
    assert collected(Key("aggTrade", SYMBOL)) is None
    assert collected(Key("trade", SYMBOL)) is CHANNELS["trade"]


def test_key_says_how_its_records_are_numbered_and_called() -> None:
    trades, klines = Key("trade", SYMBOL), Key("kline", SYMBOL, "1m")

    assert isinstance(grid_of(trades, UtcCalendar()), IdGrid)
    assert isinstance(grid_of(klines, UtcCalendar()), KlineGrid)
    assert (trades.label, trades.unit) == (f"{SYMBOL} trades", "trade")
    assert (klines.label, klines.unit) == (f"{SYMBOL} 1m", "1m kline")
