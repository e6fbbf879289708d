"""A backtest over candles that PostgreSQL holds: which bars there are, and what tells of those that are missing."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import backtrader as bt
import pytest

from data_collector.client import Client, GapFound, Kline, UnknownSymbol, WrongQuestion
from data_collector.client.records import ms_of
from data_collector.model.records import Kline as StoredKline
from tests.contract.backtrader_runs import NOON, UTCNOW, feed_of, minute_of, run, run_of
from tests.contract.stores import Reader
from tests.contract.test_client_history import at
from tests.contract.test_http_series import writer_of
from tests.integration.postgres_server import execute
from tests.market import SYMBOL, kline

pytestmark = UTCNOW

DAY = 1440
ENGINES: list[dict[str, object]] = [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}]
"""The ways in which Backtrader reads a feed."""


@pytest.fixture
def client(address: str, reader: Reader, dsn: str) -> Iterator[Client]:
    execute(dsn, "truncate market_data_ohlcv, market_data_gaps")
    with Client(address, api="", database=dsn) as client:
        yield client


async def put(dsn: str, *klines: StoredKline) -> None:
    async with writer_of(dsn) as writer:
        await writer.put_klines(list(klines), source="rest")


async def put_minutes(dsn: str, *minutes: int) -> None:
    await put(dsn, *(kline(minute, volume="1", close=f"{45100 + minute}") for minute in minutes))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
async def test_every_candle_is_a_bar_however_the_engine_reads(
    client: Client, dsn: str, engine: dict[str, object]
) -> None:
    await put_minutes(dsn, *range(10))

    seen = run(feed_of(client), engine=engine)

    assert [told for told in seen.told if isinstance(told, int)] == list(range(10))
    assert [bar["close"] for bar in seen.bars] == [45100 + minute for minute in range(10)]


async def test_bar_has_all_that_the_candle_has(client: Client, dsn: str) -> None:
    """What the exchange does not tell is not a number, and never zero."""
    await put(dsn, kline(0), kline(1, quote_volume=None, trades=None, taker_buy_base_volume=None))

    told, untold = run(feed_of(client)).bars

    record = next(item for item in client.klines(SYMBOL, "1m") if isinstance(item, Kline))
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "trades"):
        assert told[name] == float(getattr(record, name))
    assert told["taker_buy_quote_volume"] == 2783945.06
    assert math.isnan(told["openinterest"])
    assert all(math.isnan(untold[name]) for name in ("quote_volume", "trades", "taker_buy_base_volume"))
    assert untold["taker_buy_quote_volume"] == 2783945.06


async def test_bar_is_stamped_when_it_closed(client: Client, dsn: str) -> None:
    await put_minutes(dsn, *range(DAY))

    seen = run(feed_of(client))

    closed = [item.close_time.replace(tzinfo=None) for item in client.klines(SYMBOL, "1m") if isinstance(item, Kline)]
    assert [bt.num2date(bar["datetime"]) for bar in seen.bars] == closed
    assert closed[-1] == NOON + timedelta(days=1)


async def test_month_is_stamped_when_it_is_over(client: Client, dsn: str) -> None:
    february_ms, march_ms = (ms_of(datetime(2024, month, 1, tzinfo=UTC)) for month in (2, 3))
    await put(dsn, kline(interval="1M", open_ms=february_ms, close_ms=march_ms - 1))

    (bar,) = run(feed_of(client, interval="1M")).bars

    assert bt.num2date(bar["datetime"]) == datetime(2024, 3, 1)  # noqa: DTZ001 (Backtrader's have no zone)


@pytest.mark.parametrize("engine", [{}, {"preload": False}], ids=str)
@pytest.mark.parametrize(("timeframe", "minutes"), [("Minutes", 5), ("Minutes", 60), ("Days", DAY)])
async def test_longer_bars_are_whole_also_at_midnight(
    client: Client, dsn: str, engine: dict[str, object], timeframe: str, minutes: int
) -> None:
    """Backtrader ends its days before midnight, and would give the candle that closes then to the next one."""
    await put_minutes(dsn, *range(DAY // 2, DAY // 2 + 2 * DAY))
    cerebro = bt.Cerebro(stdstats=False, **engine)
    compression = minutes if timeframe == "Minutes" else 1
    cerebro.resampledata(feed_of(client), timeframe=getattr(bt.TimeFrame, timeframe), compression=compression)

    seen = run_of(cerebro)

    assert seen.volumes == [(minutes,)] * (2 * DAY // minutes)
    assert minute_of(bt.num2date(seen.bars[0]["datetime"])) == DAY // 2 + minutes - 1


async def test_feed_can_be_read_as_it_is_and_longer(client: Client, dsn: str) -> None:
    await put_minutes(dsn, *range(20))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.resampledata(cerebro.adddata(feed_of(client)), timeframe=bt.TimeFrame.Minutes, compression=5)

    assert run_of(cerebro).volumes == [(1, 5)] * 16


async def test_longer_bars_over_a_gap_are_warned_of_once(client: Client, dsn: str) -> None:
    """Three candles of ten minutes become one of five, and Backtrader does not tell."""
    await put_minutes(dsn, 0, 1, 9, 15)
    for is_clone in (False, True):
        cerebro, feed = bt.Cerebro(stdstats=False), feed_of(client)
        if is_clone:
            cerebro.adddata(feed)
        cerebro.resampledata(feed, timeframe=bt.TimeFrame.Minutes, compression=5)

        with pytest.warns(UserWarning, match=f"7 1m klines of {SYMBOL} are missing.*load {SYMBOL} with") as told:
            seen = run_of(cerebro)

        assert [each.category for each in told].count(UserWarning) == 1
        assert seen.volumes[0][-1] == 3
        assert [gap.count for gap in feed.gaps] == [7, 5]


async def test_longer_bars_of_filled_candles_are_whole(client: Client, dsn: str) -> None:
    await put_minutes(dsn, 0, 1, 9)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.resampledata(feed_of(client, gaps="fill"), timeframe=bt.TimeFrame.Minutes, compression=5)

    assert run_of(cerebro).volumes == [(2,), (1,)]


async def test_bar_tells_how_many_are_missing_before_it_where_nobody_is_notified(client: Client, dsn: str) -> None:
    """Statuses of what is preloaded are put before there is a strategy."""
    await put_minutes(dsn, 0, 1, 4, 5, 6, 10)
    feed = feed_of(client)

    seen = run(feed)

    assert seen.told == [0, 1, 4, 5, 6, 10]
    assert seen.missing == [0, 0, 2, 0, 0, 3]
    assert [(gap.first, gap.count) for gap in feed.gaps] == [(at(2), 2), (at(7), 3)]


async def test_strategy_is_notified_of_each_gap_where_bars_are_not_preloaded(client: Client, dsn: str) -> None:
    """Backtrader passes over a status that repeats."""
    await put_minutes(dsn, 0, 4, 10)
    feed = feed_of(client)

    seen = run(feed, engine={"preload": False})

    first, second = feed.gaps
    assert seen.told == [
        "DELAYED", 0, ("CONNBROKEN", first), "DELAYED", 4, ("CONNBROKEN", second), "DELAYED", 10, "DISCONNECTED",
    ]  # fmt: skip


async def test_what_is_missing_at_the_begin_is_told_with_the_first_bar(client: Client, dsn: str) -> None:
    await put_minutes(dsn, 3, 4)

    assert run(feed_of(client, start=at(0))).missing == [3, 0]
    assert run(feed_of(client, start=at(0), gaps="fill")).missing == [3, 0]


async def test_gap_can_end_the_run(client: Client, dsn: str) -> None:
    await put_minutes(dsn, 0, 4)

    with pytest.raises(GapFound, match=f"3 1m klines of {SYMBOL} are missing"):
        run(feed_of(client, gaps="raise"))


async def test_gaps_can_be_filled_with_flat_bars(client: Client, dsn: str) -> None:
    await put_minutes(dsn, 0, 3)
    feed = feed_of(client, gaps="fill")

    seen = run(feed)

    assert [(bar["open"], bar["low"], bar["close"], bar["volume"]) for bar in seen.bars[1:3]] == [
        (45100, 45100, 45100, 0)
    ] * 2
    assert seen.told == [0, 1, 2, 3]
    assert seen.missing == [0, 0, 0, 0]
    assert [gap.count for gap in feed.gaps] == [2]


async def test_stretch_is_that_of_the_client(client: Client, dsn: str) -> None:
    await put_minutes(dsn, *range(10))

    assert run(feed_of(client, start=at(2), end=at(5))).told == [2, 3, 4]
    assert run(feed_of(client, start=at(2), limit=2)).told == [2, 3]
    assert run(feed_of(client, fromdate=at(4).replace(tzinfo=None), todate=NOON + timedelta(minutes=6))).told == [
        3,
        4,
        5,
    ]


async def test_run_can_be_repeated(client: Client, dsn: str) -> None:
    await put_minutes(dsn, 0, 4)
    feed = feed_of(client)

    assert [run(feed).missing, run(feed).missing] == [[0, 3], [0, 3]]
    assert [gap.count for gap in feed.gaps] == [3]


async def test_optimising_takes_along_what_was_preloaded_and_not_the_client(client: Client, dsn: str) -> None:
    await put_minutes(dsn, *range(3))
    feed = feed_of(client)
    run(feed)
    # A whole Cerebro can be pickled up to Python 3.13.
    feed.setenvironment(None)

    copy = pickle.loads(pickle.dumps(feed))  # noqa: S301 (it is our own)

    assert list(copy.l.close.array) == [45100, 45101, 45102]
    with pytest.raises(WrongQuestion, match="reads in no other process"):
        copy.start()


async def test_wrong_time_and_unknown_symbol_end_the_run(client: Client) -> None:
    with pytest.raises(WrongQuestion, match="has no time zone"):
        run(feed_of(client, start=NOON))
    with pytest.raises(UnknownSymbol):
        run(feed_of(client, symbol="NOBODY"))
