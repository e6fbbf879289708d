"""The feed for Backtrader without a store: what it takes, and what it leaves to Backtrader."""

from __future__ import annotations

import importlib
import sys
from inspect import isfunction

import backtrader as bt
import pytest

from data_collector.client import Client, NotInstalled, WrongQuestion
from data_collector.client.adapters.backtrader import CandleFeed
from tests.contract.backtrader_runs import feed_of
from tests.market import SYMBOL


@pytest.fixture
def client() -> Client:
    """Nothing is asked of it."""
    return Client("redis://127.0.0.1:1", api="", database="")


@pytest.mark.parametrize(
    ("interval", "timeframe", "compression"),
    [("1s", "Seconds", 1), ("15m", "Minutes", 15), ("4h", "Minutes", 240), ("3d", "Days", 3), ("1w", "Weeks", 1),
     ("1M", "Months", 1)],
)  # fmt: skip
def test_interval_says_how_long_bars_are(client: Client, interval: str, timeframe: str, compression: int) -> None:
    feed = feed_of(client, interval=interval)

    assert (feed._timeframe, feed._compression) == (getattr(bt.TimeFrame, timeframe), compression)
    assert feed._name == f"{SYMBOL}:{interval}"


def test_weeks_made_of_days_are_warned_of(client: Client) -> None:
    """Backtrader asks the calendar in which week a day closed, which for Sunday is Monday."""
    cerebro, feed = bt.Cerebro(), feed_of(client, interval="1d")

    for longer in (cerebro.replaydata, cerebro.resampledata):
        with pytest.warns(UserWarning, match='last candle of weeks into the next one: load interval="1w"') as told:
            longer(feed, timeframe=bt.TimeFrame.Weeks)
        assert told[0].filename == __file__


def test_feed_replaces_nothing_of_backtraders_but_on_purpose(client: Client) -> None:
    """A field named `_last`, say, would stand before the method, and break preloading."""
    feed, plain = feed_of(client), bt.feed.DataBase()
    for each in (feed, plain):
        each.start()

    ours = {name for name, value in vars(CandleFeed).items() if isfunction(value)} - {"__init__", "__getstate__"}
    assert {name for name in ours if hasattr(plain, name)} == {
        "islive", "haslivedata", "start", "clone", "addfilter", "_getnexteos", "_check", "_load",
    }  # fmt: skip
    assert methods_behind_fields(feed) == methods_behind_fields(plain)


def methods_behind_fields(feed: bt.feed.DataBase) -> set[str]:
    return {name for name in vars(feed) if callable(getattr(bt.feed.DataBase, name, None))}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"client": None}, "client= is to be the Client"),
        ({"symbol": ""}, "symbol= is to say whose candles"),
        ({"interval": "7m"}, "'7m' is no interval"),
        ({"gaps": "skip"}, "gaps='skip' is none of mark, raise, fill"),
        ({"live": True, "end": "2024-01-02"}, "bars come without end"),
        ({"timeframe": 4}, "leave timeframe= and compression= out"),
    ],
)
def test_what_makes_no_feed_is_said_at_once(client: Client, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(WrongQuestion, match=sentence):
        feed_of(client, **changes)


def test_without_backtrader_a_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backtrader", None)
    monkeypatch.delitem(sys.modules, "data_collector.client.adapters.backtrader")

    with pytest.raises(NotInstalled, match=r"pip install 'btc-data-collector\[backtrader\]'"):
        importlib.import_module("data_collector.client.adapters.backtrader")
