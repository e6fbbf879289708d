"""REST answers: names, pages that cut groups of equal times, the newest 720 candles."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from data_collector.model.calendar import HOUR_MS
from data_collector.model.records import Trade
from data_collector.simulator.control.faults import RestFault
from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.kraken.speaker.endpoints import Answerer, KrakenError

START_MS = 1_700_000_030_000


@pytest.fixture
def market() -> Market:
    return Market(
        SimulatorSettings(start_ms=START_MS, symbols=("BTCUSD", "ETHBTC", "PEPEUSDT"), trades_per_s=0.5), START_MS
    )


def rows_of(
    market: Market, method: str, fault: RestFault | None = None, **query: object
) -> tuple[list[object], object]:
    """The rows of a page, and its `last`."""
    result = Answerer(market).answer(method, {name: str(value) for name, value in query.items()}, fault)
    assert isinstance(result, dict)
    last = result.pop("last")
    (rows,) = result.values()
    assert isinstance(rows, list)
    return rows, last


def ids(rows: Sequence[object]) -> list[int]:
    found: list[int] = []
    for row in rows:
        assert isinstance(row, list)
        found.append(row[-1])
    return found


def paged(market: Market, since: int, count: int, *, back: int) -> list[int]:
    """Ids of pages that follow one another by `last`, less so much."""
    found: list[int] = []
    while True:
        rows, last = rows_of(market, "Trades", pair="XBTUSD", since=since, count=count)
        found += [number for number in ids(rows) if not found or number > found[-1]]
        if len(rows) < count or int(str(last)) - back <= since:
            return found
        since = int(str(last)) - back


def tape_of(market: Market, first_ms: int) -> list[Trade]:
    return [trade for trade in market.tape("BTCUSD") if trade.time_ms >= first_ms]


@pytest.mark.parametrize("name", ["XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "BTCUSD"])
def test_a_pair_has_five_names(market: Market, name: str) -> None:
    result = Answerer(market).answer("AssetPairs", {"pair": name}, None)

    assert isinstance(result, dict)
    assert list(result) == ["XXBTZUSD"]
    assert result["XXBTZUSD"]["wsname"] == "XBT/USD"
    assert (result["XXBTZUSD"]["tick_size"], result["XXBTZUSD"]["pair_decimals"]) == ("0.1", 1)


@pytest.mark.parametrize(("method", "query", "told"), [
    ("Trades", {"pair": "NOSUCH"}, "EQuery:Unknown asset pair"),
    ("Trades", {}, "EGeneral:Invalid arguments"),
    ("Trades", {"pair": "XBTUSD", "count": "1001"}, "EGeneral:Invalid arguments:count"),
    ("OHLC", {"pair": "XBTUSD", "interval": "2"}, "EGeneral:Invalid arguments:interval"),
    ("Nothing", {}, "EGeneral:Unknown method"),
])  # fmt: skip
def test_errors_have_the_exchanges_words(market: Market, method: str, query: dict[str, str], told: str) -> None:
    with pytest.raises(KrakenError, match=told):
        Answerer(market).answer(method, query, None)


def test_a_delisted_pair_is_unknown(market: Market) -> None:
    market.listed("BTCUSD").set_status("END_OF_DAY")

    with pytest.raises(KrakenError, match="Unknown asset pair"):
        Answerer(market).answer("OHLC", {"pair": "XBTUSD"}, None)


def test_pages_by_one_less_than_last_have_every_trade_and_pages_by_last_lose_some(market: Market) -> None:
    first_ms = START_MS - 300_000
    truth = [trade.trade_id for trade in tape_of(market, first_ms)]
    since = first_ms * 1_000_000 - 1

    assert paged(market, since, 7, back=1) == truth
    losing = paged(market, since, 7, back=0)
    assert set(losing) < set(truth), "a border cut a group of equal times"


def test_newest_trades_come_without_since_and_the_first_of_all_with_zero(market: Market) -> None:
    newest, _ = rows_of(market, "Trades", pair="XBTUSD", count=1)
    first, _ = rows_of(market, "Trades", pair="XBTUSD", since=0, count=2)

    tape = market.tape("BTCUSD")
    assert ids(newest) == [tape[-1].trade_id]
    assert ids(first)[1] == ids(first)[0] + 1 < tape[0].trade_id


def test_since_may_be_in_seconds(market: Market) -> None:
    second = START_MS // 1000 - 60

    rows, last = rows_of(market, "Trades", pair="XBTUSD", since=second)

    assert ids(rows) == [trade.trade_id for trade in tape_of(market, second * 1000)]
    assert len(str(last)) == 19


def test_trade_rows_have_five_decimals_at_least_and_a_float_for_the_time(market: Market) -> None:
    (row,), last = rows_of(market, "Trades", pair="XBTUSD", count=1)

    assert isinstance(row, list)
    price, volume, time_s, side, kind, misc, number = row
    trade = market.tape("BTCUSD")[-1]
    assert (price, volume) == (trade.price[:-3], trade.quantity)
    assert abs(time_s * 1e6 - (trade.time_ms * 1000 + (trade.sub_ms_us or 0))) < 2
    assert (side, misc, number) == ("s" if trade.is_buyer_maker else "b", "", trade.trade_id)
    assert kind in ("m", "l")
    assert abs(int(str(last)) / 1e9 - time_s) < 1e-6


def test_candles_are_the_newest_720_and_the_running_one_whatever_since_is(market: Market) -> None:
    rows, last = rows_of(market, "OHLC", pair="XBTUSD", interval=1, since=1)

    assert len(rows) == 721
    opens = [row[0] for row in rows if isinstance(row, list)]
    assert opens == list(range(opens[0], opens[0] + 721 * 60, 60))
    assert opens[-1] == START_MS // 60_000 * 60
    assert last == opens[-2]
    truth = {kline.open_ms // 1000: kline for kline in market.closed_klines("BTCUSD", "1m")}
    for row in rows[:-1]:
        assert isinstance(row, list)
        open_s, opened, high, low, close, vwap, volume, count = row
        kline = truth.get(open_s)
        if kline is None:
            assert (count, volume, vwap) == (0, "0.00000000", "0.0")
        else:
            assert (opened, high, low, close) == tuple(
                text[:-7] for text in (kline.open, kline.high, kline.low, kline.close)
            )
            assert (volume, count) == (kline.volume, kline.trades)


def test_since_is_not_included_in_candles_either(market: Market) -> None:
    second = START_MS // 60_000 * 60 - 120

    rows, _ = rows_of(market, "OHLC", pair="XBTUSD", since=second)

    assert [row[0] for row in rows if isinstance(row, list)] == [second + 60, second + 120]


def test_hours_are_cut_to_720_too() -> None:
    market = Market(SimulatorSettings(start_ms=START_MS, history_ms=1_000 * HOUR_MS, symbols=("BTCUSD",)), START_MS)

    rows, _ = rows_of(market, "OHLC", pair="XBTUSD", interval=60)

    assert len(rows) == 721


def test_faults_make_pages_untrue(market: Market) -> None:
    true, _ = rows_of(market, "Trades", pair="XBTUSD", count=10, since=START_MS // 1000 - 120)

    missing, _ = rows_of(market, "Trades", RestFault(kind="missing", span=2), pair="XBTUSD", count=10,
                         since=START_MS // 1000 - 120)  # fmt: skip
    within = RestFault(kind="missing", within=(ids(true)[0], ids(true)[1]))
    cut, _ = rows_of(market, "Trades", within, pair="XBTUSD", count=10, since=START_MS // 1000 - 120)
    empty, _ = rows_of(market, "Trades", RestFault(empty=True), pair="XBTUSD")

    assert ids(missing) == ids(true)[:4] + ids(true)[6:]
    assert ids(cut) == ids(true)[2:]
    assert empty == []


def test_fine_prices_keep_their_decimals(market: Market) -> None:
    (row,), _ = rows_of(market, "Trades", pair="PEPE/USDT", count=1)

    assert isinstance(row, list)
    assert row[0] == market.tape("PEPEUSDT")[-1].price


def test_statistics_are_those_of_the_market(market: Market) -> None:
    result = Answerer(market).answer("Ticker", {"pair": "XBTUSD"}, None)

    ticker = market.listed("BTCUSD").ticker()
    assert isinstance(result, dict)
    told = result["XXBTZUSD"]
    assert told["v"][1] == ticker.volume
    assert told["t"][1] == ticker.count
    assert told["h"][1] == str(ticker.high_price)[:-3]
