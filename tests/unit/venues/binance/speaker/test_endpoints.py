"""REST answers: paging, errors and weights, on a market whose time stands still."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise

import pytest

from data_collector.simulator.market.market import Market
from data_collector.simulator.settings import SimulatorSettings
from data_collector.venues.binance.speaker.endpoints import ENDPOINTS, Answerer
from data_collector.venues.binance.speaker.parameters import RestRefusal, check_names, time_unit

START_MS = 1_700_000_030_000
MINUTE_MS = 60_000
SETTINGS = SimulatorSettings(start_ms=START_MS, symbols=("BTCUSDT", "ETHBTC", "BNBUSDT"), history_trades=2_000)


@pytest.fixture
def market() -> Market:
    market = Market(SETTINGS, START_MS)
    market.now_ms += 10 * MINUTE_MS
    return market


def answer(market: Market, endpoint: str, unit: int = 1, **query: object) -> object:
    found = ENDPOINTS[f"/api/v3/{endpoint}"]
    texts = {name: str(value) for name, value in query.items()}
    check_names(texts, found.reads)
    return found.answer(Answerer(market, SETTINGS), texts, unit)


def rows(market: Market, endpoint: str, unit: int = 1, **query: object) -> list[list[object]]:
    body = answer(market, endpoint, unit, **query)
    assert isinstance(body, list)
    return body


def objects(market: Market, endpoint: str, unit: int = 1, **query: object) -> list[dict[str, object]]:
    body = answer(market, endpoint, unit, **query)
    assert isinstance(body, list)
    return body


def opens(market: Market, **query: object) -> list[object]:
    return [row[0] for row in rows(market, "klines", 1, symbol="BTCUSDT", interval="1m", **query)]


def test_klines_without_times_are_the_newest_and_end_with_the_running_one(market: Market) -> None:
    running = market.now_ms - market.now_ms % MINUTE_MS

    assert opens(market, limit=3) == [running - 2 * MINUTE_MS, running - MINUTE_MS, running]


def test_start_inside_a_candle_means_the_next_candle(market: Market) -> None:
    first = START_MS - START_MS % MINUTE_MS + MINUTE_MS

    assert opens(market, startTime=first - 1, limit=2) == [first, first + MINUTE_MS]
    assert opens(market, startTime=first, limit=1) == [first]
    assert opens(market, startTime=first + 1, limit=1) == [first + MINUTE_MS]


def test_end_inside_a_candle_includes_it(market: Market) -> None:
    first = START_MS - START_MS % MINUTE_MS

    assert opens(market, endTime=first + 1, limit=2) == [first - MINUTE_MS, first]
    assert opens(market, startTime=first - MINUTE_MS, endTime=first + 1) == [first - MINUTE_MS, first]


def test_times_may_be_microseconds(market: Market) -> None:
    first = START_MS - START_MS % MINUTE_MS

    assert opens(market, startTime=first * 1000, limit=1) == [first]
    assert opens(market, startTime=first * 1000 + 1, limit=1) == [first + MINUTE_MS]


def test_answers_in_microseconds_end_one_microsecond_before_the_next_candle(market: Market) -> None:
    row = rows(market, "klines", 1000, symbol="BTCUSDT", interval="1h", limit=1)[0]

    assert row[6] == (row[0] if isinstance(row[0], int) else 0) + 3_600_000_000 - 1


def test_quiet_minutes_have_flat_candles(market: Market) -> None:
    closes = [(row[4], row[8]) for row in rows(market, "klines", symbol="BTCUSDT", interval="1m", limit=1000)]
    flat = [(before, this) for before, this in pairwise(closes) if this[1] == 0]

    assert flat
    assert all(before[0] == this[0] for before, this in flat)


def test_klines_of_another_zone_open_at_its_midnight(market: Market) -> None:
    row = rows(market, "klines", symbol="BTCUSDT", interval="1d", timeZone="8", limit=1)[0]

    assert isinstance(row[0], int)
    assert row[0] % 86_400_000 == 16 * 3_600_000


def test_historical_trades_begin_with_the_id_asked_for(market: Market) -> None:
    tape = market.tape("BTCUSDT")

    found = objects(market, "historicalTrades", symbol="BTCUSDT", fromId=tape[100].trade_id, limit=5)

    assert [row["id"] for row in found] == [trade.trade_id for trade in tape[100:105]]


def test_ids_before_the_oldest_trade_give_the_oldest_ones(market: Market) -> None:
    found = objects(market, "historicalTrades", symbol="BTCUSDT", fromId=1, limit=2)

    assert [row["id"] for row in found] == [trade.trade_id for trade in market.tape("BTCUSDT")[:2]]


def test_ids_after_the_newest_trade_give_nothing(market: Market) -> None:
    assert answer(market, "historicalTrades", symbol="BTCUSDT", fromId=10**15) == []


def test_limit_is_500_unless_said_and_1000_at_most(market: Market) -> None:
    assert len(rows(market, "trades", symbol="BTCUSDT")) == 500
    assert len(rows(market, "trades", symbol="BTCUSDT", limit=5000)) == 1000


def test_newest_trades_end_with_the_last(market: Market) -> None:
    assert objects(market, "trades", symbol="BTCUSDT", limit=1)[0]["id"] == market.tape("BTCUSDT")[-1].trade_id


def test_quote_quantity_is_price_times_quantity_truncated(market: Market) -> None:
    found = objects(market, "trades", symbol="ETHBTC", limit=1000)

    assert len(found) == 1000
    for row in found:
        exact = Decimal(str(row["price"])) * Decimal(str(row["qty"]))
        assert Decimal(str(row["quoteQty"])) == exact.quantize(Decimal("0.00000001"), ROUND_DOWN)


def test_aggregates_cover_every_trade_once_and_share_one_price_and_time(market: Market) -> None:
    tape = {trade.trade_id: trade for trade in market.tape("BTCUSDT")}
    found = objects(market, "aggTrades", symbol="BTCUSDT", limit=1000)

    assert len(found) == 1000
    for one, following in pairwise(found):
        assert following["a"] == int(str(one["a"])) + 1
        assert following["f"] == int(str(one["l"])) + 1
    for row in found:
        trades = [tape[trade_id] for trade_id in range(int(str(row["f"])), int(str(row["l"])) + 1)]
        assert {(trade.price, trade.time_ms, trade.is_buyer_maker) for trade in trades} == {
            (row["p"], row["T"], row["m"])
        }
        assert sum(Decimal(trade.quantity) for trade in trades) == Decimal(str(row["q"]))


def test_aggregates_page_by_id_and_by_time(market: Market) -> None:
    newest = objects(market, "aggTrades", symbol="BTCUSDT", limit=20)
    first = newest[3]

    by_id = objects(market, "aggTrades", symbol="BTCUSDT", fromId=first["a"], limit=2)
    by_time = objects(market, "aggTrades", symbol="BTCUSDT", startTime=first["T"], endTime=first["T"])
    ending = objects(market, "aggTrades", symbol="BTCUSDT", endTime=first["T"], limit=1)

    assert by_id == newest[3:5]
    assert first in by_time
    assert {row["T"] for row in by_time} == {first["T"]}
    assert ending[0] == by_time[-1]


def test_rest_and_market_tell_the_same_ticker(market: Market) -> None:
    symbol = market.symbol("BTCUSDT")
    assert symbol is not None
    ticker = symbol.ticker()
    body = answer(market, "ticker/24hr", symbol="BTCUSDT")
    quote = answer(market, "ticker/bookTicker", symbol="BTCUSDT")
    depth = answer(market, "depth", symbol="BTCUSDT", limit=1)

    assert isinstance(body, dict)
    assert isinstance(quote, dict)
    assert isinstance(depth, dict)
    assert (body["lastPrice"], body["volume"], body["lastId"]) == (ticker.last_price, ticker.volume, ticker.last_id)
    assert answer(market, "ticker/price", symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": ticker.last_price}
    assert (body["bidPrice"], body["bidQty"]) == (quote["bidPrice"], quote["bidQty"])
    assert depth["bids"] == [(quote["bidPrice"], quote["bidQty"])]
    assert depth["asks"] == [(quote["askPrice"], quote["askQty"])]


def test_one_symbol_is_an_object_and_several_are_a_list(market: Market) -> None:
    assert isinstance(answer(market, "ticker/24hr", symbol="BTCUSDT", type="MINI"), dict)
    two = objects(market, "ticker/24hr", symbols='["BTCUSDT","ETHBTC"]')
    assert [row["symbol"] for row in two] == ["BTCUSDT", "ETHBTC"]
    assert len(objects(market, "ticker/price")) == 3


def test_symbols_of_another_status_are_left_out_or_refused(market: Market) -> None:
    halted = market.symbol("ETHBTC")
    assert halted is not None
    halted.set_status("HALT")

    assert [row["symbol"] for row in objects(market, "ticker/price", symbolStatus="HALT")] == ["ETHBTC"]
    with pytest.raises(RestRefusal) as refused:
        answer(market, "ticker/price", symbol="ETHBTC", symbolStatus="TRADING")
    assert refused.value.code == -1220


def test_exchange_information_lists_the_price_filter_first(market: Market) -> None:
    body = answer(market, "exchangeInfo", symbol="BTCUSDT")

    assert isinstance(body, dict)
    symbol = body["symbols"][0]
    assert symbol["filters"][0]["filterType"] == "PRICE_FILTER"
    assert (symbol["baseAsset"], symbol["quoteAsset"], symbol["status"]) == ("BTC", "USDT", "TRADING")
    assert symbol["permissionSets"][0][0] == "SPOT"
    without = answer(market, "exchangeInfo", showPermissionSets="false")
    assert isinstance(without, dict)
    assert without["symbols"][0]["permissionSets"] == []


@pytest.mark.parametrize(
    ("endpoint", "query", "code"),
    [
        ("klines", {"interval": "1m"}, -1102),
        ("klines", {"symbol": "", "interval": "1m"}, -1105),
        ("klines", {"symbol": "btcusdt", "interval": "1m"}, -1100),
        ("klines", {"symbol": "NOPE", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1H"}, -1120),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "x"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "0"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "-5"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "timeZone": "15"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "nothing": "1"}, -1104),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "1", "startTime": "1"}, -1128),
        ("ticker/24hr", {"symbol": "BTCUSDT", "symbols": '["ETHBTC"]'}, -1128),
        ("ticker/24hr", {"symbols": '["ETHBTC","ETHBTC"]'}, -1151),
        ("ticker/24hr", {"symbols": "ETHBTC"}, -1100),
        ("ticker/24hr", {"type": "LONG"}, -1139),
        ("ticker/price", {"symbolStatus": "SLEEPING"}, -1122),
        ("exchangeInfo", {"symbol": "BTCUSDT", "symbolStatus": "TRADING"}, -1128),
    ],
)
def test_bad_parameters_have_their_codes(market: Market, endpoint: str, query: Mapping[str, str], code: int) -> None:
    with pytest.raises(RestRefusal) as refused:
        answer(market, endpoint, 1, **query)

    assert (refused.value.code, refused.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("endpoint", "query", "weight"),
    [
        ("ping", {}, 1),
        ("time", {}, 1),
        ("exchangeInfo", {}, 20),
        ("klines", {}, 2),
        ("uiKlines", {}, 2),
        ("trades", {}, 25),
        ("historicalTrades", {}, 25),
        ("aggTrades", {}, 4),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("ticker/24hr", {"symbols": ",".join(["x"] * 20)}, 2),
        ("ticker/24hr", {"symbols": ",".join(["x"] * 21)}, 40),
        ("ticker/24hr", {"symbols": ",".join(["x"] * 101)}, 80),
        ("ticker/24hr", {}, 80),
        ("ticker/price", {"symbol": "BTCUSDT"}, 2),
        ("ticker/price", {}, 4),
        ("ticker/bookTicker", {"symbols": "x"}, 4),
        ("depth", {}, 5),
        ("depth", {"limit": "101"}, 25),
        ("depth", {"limit": "1000"}, 50),
        ("depth", {"limit": "5000"}, 250),
    ],
)
def test_weights_are_those_of_the_documents(endpoint: str, query: Mapping[str, str], weight: int) -> None:
    assert ENDPOINTS[f"/api/v3/{endpoint}"].weight(query) == weight


def test_time_unit_comes_from_the_header() -> None:
    assert (time_unit(None), time_unit("MICROSECOND"), time_unit("millisecond")) == (1, 1000, 1)
    with pytest.raises(RestRefusal) as refused:
        time_unit("SECOND")
    assert refused.value.code == -1194
