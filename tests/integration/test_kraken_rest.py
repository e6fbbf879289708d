"""Kraken's REST side over a socket: trades by their ids, klines as far as they are kept, and errors of status 200."""

from __future__ import annotations

import gzip
import json
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from multidict import MultiMapping

from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.records import Ticker, Trade
from data_collector.model.venue import TradePlace
from data_collector.observe.counters import Counters
from data_collector.rest.budget import PacedBudget
from data_collector.venues.kraken.rest import KrakenRest

START_NS = 1_762_795_433_971_744_513
MINUTE_S = 60
PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8, "tick_size": "0.5",
    "status": "online",
}  # fmt: skip
DOGE = {"altname": "XDGUSD", "wsname": "XDG/USD", "pair_decimals": 7, "lot_decimals": 8, "status": "cancel_only"}
PAIRS = {"XXBTZUSD": PAIR, "XDGUSD": DOGE, "XBTUSD.d": {**PAIR, "altname": "XBTUSD.d", "wsname": ""}}
Result = object


class Kraken:
    """Answers by path; trades are those of a tape, of times in ns with ids from 1 on."""

    def __init__(self) -> None:
        self.tape_ns = [START_NS + 700_000_000 * (number // 3) for number in range(30_000)]
        self.answers: dict[str, Callable[[MultiMapping[str]], Result]] = {
            "AssetPairs": lambda _: PAIRS, "Time": lambda _: {"unixtime": 1_616_336_594, "rfc1123": "…"},
            "Trades": self._trades,
        }  # fmt: skip
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.counters = Counters()
        self.rest = KrakenRest("", budget=PacedBudget(1e-6))
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked.append((path, dict(request.query)))
        result = self.answers[path](request.query)
        if self.errors and path != "AssetPairs":
            return web.json_response({"error": self.errors})
        return web.json_response({"error": self.warnings, "result": result})

    def _trades(self, query: MultiMapping[str]) -> Result:
        count = int(query["count"])
        start = len(self.tape_ns) - count
        if "since" in query:
            start = bisect_right(self.tape_ns, int(query["since"]))
        rows = range(start, min(start + count, len(self.tape_ns)))
        last = self.tape_ns[rows[-1]] if rows else int(query["since"])
        name = "XXBTZUSD" if query["pair"] == "XBTUSD" else query["pair"]
        return {
            name: [["1.50", "2.00", self.tape_ns[row] / 1e9, "bs"[row % 2], "l", "", row + 1] for row in rows],
            "last": str(last),
        }


@pytest.fixture
async def kraken() -> AsyncIterator[Kraken]:
    kraken = Kraken()
    application = web.Application()
    application.router.add_get("/0/public/{path}", kraken.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    kraken.rest = KrakenRest(site.name, counters=kraken.counters, budget=PacedBudget(1e-6))
    yield kraken
    await kraken.rest.close()
    await runner.cleanup()


def row_of(open_s: int, trades: int) -> list[object]:
    return [open_s, "10.0", "12.0", "9.0", "11.0", "0.0" if not trades else "10.5", f"{trades}.00000000", trades]


async def test_trades_by_id_are_the_tape_with_and_without_one_that_is_known(kraken: Kraken) -> None:
    """Thirty pages, where every border cuts a group of equal times."""
    rest, begun = kraken.rest, len(kraken.asked)
    sought = (await rest.trades("BTC/USD", 12_345)).trades
    searched = len(kraken.asked) - begun
    near = TradePlace(15_000, kraken.tape_ns[14_999] // 1000)
    known = (await rest.trades("BTC/USD", 15_001, near=near, limit=5)).trades

    assert [trade.trade_id for trade in sought] == list(range(12_345, 12_345 + len(sought)))
    assert searched <= 6
    assert len(kraken.asked) == begun + searched + 1
    assert known == [
        Trade("BTC/USD", number, "1.50", "2.00", us // 1000, us // 1000, number % 2 == 0, sub_ms_us=us % 1000)
        for number in range(15_001, 15_006)
        for us in [kraken.tape_ns[number - 1] // 1000]
    ]
    assert {query["pair"] for path, query in kraken.asked if path == "Trades"} == {"XBTUSD"}


async def test_whole_history_is_read_page_by_page(kraken: Kraken) -> None:
    found: list[int] = []
    while True:
        page = await kraken.rest.trades("BTC/USD", len(found) + 1)
        found += [trade.trade_id for trade in page.trades]
        if page.reaches_head:
            break

    assert found == list(range(1, 30_001))
    assert len(kraken.asked) < 40


async def test_ends_of_history(kraken: Kraken) -> None:
    rest, second_ms = kraken.rest, kraken.tape_ns[3] // 1_000_000

    assert await rest.newest_trade_id("BTC/USD") == 30_000
    assert await rest.heads(["BTC/USD", "DOGE/USD"]) == {"BTC/USD": 30_000, "DOGE/USD": 30_000}
    assert await rest.first_trade_ms("BTC/USD") == START_NS // 1_000_000
    assert await rest.first_trade_id("BTC/USD", second_ms) == 4
    assert await rest.first_trade_id("BTC/USD", 0) == 1
    assert (await rest.trades("BTC/USD", 30_001)).reaches_head


async def test_answer_about_another_pair_is_not_believed(kraken: Kraken) -> None:
    """A head of BTC/USD for one of ETH/USD would call a mute stream quiet."""
    kraken.answers["Trades"] = lambda _: {"XETHZUSD": [["1.50", "2.00", START_NS / 1e9, "b", "l", "", 1]], "last": "1"}
    kraken.answers["OHLC"] = lambda _: {"XETHZUSD": [row_of(60, 1)], "last": 60}

    with pytest.raises(VenueUnreachable, match="trades of BTC/USD came as those of 'XETHZUSD'"):
        await kraken.rest.heads(["BTC/USD"])
    with pytest.raises(VenueUnreachable, match="klines of BTC/USD 1m came as those of 'XETHZUSD'"):
        await kraken.rest.klines("BTC/USD", "1m", 0, 60_000)


async def test_symbols_have_the_names_of_the_stream(kraken: Kraken) -> None:
    found = await kraken.rest.symbols()

    assert {symbol: (rules.status, rules.base, rules.quote) for symbol, rules in found.items()} == {
        "BTC/USD": ("TRADING", "BTC", "USD"), "DOGE/USD": ("CANCEL_ONLY", "DOGE", "USD"),
    }  # fmt: skip
    assert (found["BTC/USD"].tick_size, found["BTC/USD"].step_size) == (0.5, 1e-8)
    assert found["DOGE/USD"].tick_size == 1e-7


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "BTC/USD"])
async def test_what_statistics_do_not_tell_is_none(kraken: Kraken, name: str) -> None:
    """Whatever name the answer has for the pair."""
    row = {
        "a": ["101.5", "1", "1.000"], "b": ["100.5", "2", "2.000"], "c": ["101.0", "0.25"], "v": ["5.0", "9.0"],
        "p": ["100.1", "0.00000"], "t": [3, 7], "l": ["99.0", "98.0"], "h": ["102.0", "103.0"], "o": "100.0",
    }  # fmt: skip
    kraken.answers["Ticker"] = lambda _: {name: row}

    assert await kraken.rest.tickers(["BTC/USD", "NOPE/USD"]) == [
        Ticker(
            symbol="BTC/USD", last_price="101.0", last_qty="0.25", bid_price="100.5",
            bid_qty="2.000", ask_price="101.5", ask_qty="1.000", high_price="103.0", low_price="98.0", volume="9.0",
            count=7, event_ms=1_616_336_594_000,
        )
    ]  # fmt: skip


async def test_klines_are_those_that_are_over_and_prove_nothing_of_what_is_kept_no_more(kraken: Kraken) -> None:
    """720 rows and the one that runs; a quiet minute has a row."""
    first_s = 1_700_000_040
    rows = [row_of(first_s + MINUTE_S * number, number % 5) for number in range(721)]
    kraken.answers["OHLC"] = lambda _: {"XXBTZUSD": rows, "last": rows[-2][0]}
    first_ms = first_s * 1000

    page = await kraken.rest.klines("BTC/USD", "1m", first_ms - 300 * 60_000, first_ms + 900 * 60_000)
    part = await kraken.rest.klines("BTC/USD", "1m", first_ms + 5 * 60_000, first_ms + 6 * 60_000)
    gone = await kraken.rest.klines("BTC/USD", "1m", first_ms - 300 * 60_000, first_ms - 60_000)

    assert [kline.open_ms for kline in page.klines] == [first_ms + 60_000 * number for number in range(720)]
    assert (page.proven_from_ms, page.proven_to_ms) == (first_ms, first_ms + 720 * 60_000 - 1)
    assert [(kline.trades, kline.volume, kline.quote_volume) for kline in part.klines] == [
        (0, "0.00000000", None), (1, "1.00000000", None),
    ]  # fmt: skip
    assert gone.klines == []
    assert gone.proven_to_ms < gone.proven_from_ms


@pytest.mark.parametrize(
    ("error", "outcome", "is_final", "wait_s"),
    [
        ("EQuery:Unknown asset pair", "refused", True, None),
        ("EGeneral:Invalid arguments:since", "refused", True, None),
        ("EAPI:Rate limit exceeded", "limited", False, 5.0),
        ("EService: Throttled: {in_an_hour}", "limited", False, 3_600.0),
        ("EService: Throttled: 7", "limited", False, 1.0),
        ("EGeneral:Temporary lockout", "banned", False, 900.0),
        ("EService:Unavailable", "failed", False, None),
        ("EService:Busy", "failed", False, None),
        ("EGeneral:Internal error", "failed", False, None),
        ("EWhat:ever", "failed", False, None),
    ],
)
async def test_errors_that_come_with_status_200(
    kraken: Kraken, error: str, outcome: str, wait_s: float | None, *, is_final: bool
) -> None:
    await kraken.rest.symbols()
    kraken.errors = [error.format(in_an_hour=int(time.time()) + 3_600)]

    with pytest.raises(VenueRefused if is_final else VenueUnreachable, match="was answered with E") as caught:
        await kraken.rest.trades("BTC/USD", 1)

    told_s = caught.value.retry_after_s if isinstance(caught.value, VenueUnreachable) else None
    assert told_s == (None if wait_s is None else pytest.approx(wait_s, abs=60))
    assert kraken.counters.value("data_collector_rest_requests_total", outcome=outcome) == 1


async def test_refused_symbol_takes_no_head_from_the_others(kraken: Kraken) -> None:
    trades = kraken.answers["Trades"]

    def refuse_doge(query: MultiMapping[str]) -> Result:
        kraken.errors = ["EQuery:Unknown asset pair"] if query["pair"] == "XDGUSD" else []
        return trades(query)

    kraken.answers["Trades"] = refuse_doge
    assert await kraken.rest.heads(["DOGE/USD", "BTC/USD"]) == {"BTC/USD": 30_000}


async def test_warning_is_no_error(kraken: Kraken) -> None:
    kraken.errors = []
    kraken.warnings = ["WGeneral:Danger"]

    assert await kraken.rest.server_time_ms() == 1_616_336_594_500


async def test_clock_that_can_be_none_is_no_answer(kraken: Kraken) -> None:
    kraken.answers["Time"] = lambda _: {"unixtime": 10**15}

    with pytest.raises(VenueUnreachable, match="clock was told as"):
        await kraken.rest.server_time_ms()


@pytest.mark.parametrize(
    "result",
    [
        {"last": "1"}, {"XXBTZUSD": [["1", "1", 1.5, "b", "l", "", 7]] * 2, "last": "1"},
        {"XXBTZUSD": [["1", "1", 1.5, "b", "l", "", 7]], "last": "x"},
        {"XXBTZUSD": [["1", "1", 1.5, "b", "l", "", 2**53]], "last": "1"},
    ],
    ids=["no rows", "repeated", "last", "huge"],
)  # fmt: skip
async def test_page_that_contradicts_itself_is_no_answer(kraken: Kraken, result: dict[str, object]) -> None:
    kraken.answers["Trades"] = lambda _: result

    with pytest.raises(VenueUnreachable):
        await kraken.rest.trades("BTC/USD", 1)
    assert kraken.counters.value("data_collector_rest_bad_pages_total") == 1


async def test_recorded_trades_contradict_nothing(kraken: Kraken, recordings: Path) -> None:
    """A thousand of XBT/USDT, with 414 neighbours of equal times; the symbol list of 2021 beside them."""
    folder = recordings / "nautilus_trader"
    answer = json.loads((folder / "kraken_http_trades_XBTUSDT.json").read_bytes())["result"]
    listed = json.loads((folder / "kraken_http_asset_pairs.json").read_bytes())["result"]
    kraken.answers |= {"AssetPairs": lambda _: listed, "Trades": lambda _: answer}

    trades = (await kraken.rest.trades("BTC/USDT", 10_218_208)).trades

    assert [trade.trade_id for trade in trades] == list(range(10_218_208, 10_219_208))
    assert trades[-1] == Trade(
        "BTC/USDT", 10_219_207, "105899.40000", "0.00009443", 1_762_820_035_982, 1_762_820_035_982,
        is_buyer_maker=True, sub_ms_us=277,
    )  # fmt: skip
    assert all(before.time_ms <= after.time_ms for before, after in pairwise(trades))


async def test_recorded_symbol_list_has_the_names_of_the_stream(kraken: Kraken, recordings: Path) -> None:
    text = gzip.decompress((recordings / "cryptofeed" / "KRAKEN.0.AssetPairs.txt.gz").read_bytes()).decode()
    listed = json.loads(text.partition("\n")[0].partition(": ")[2])["result"]
    kraken.answers["AssetPairs"] = lambda _: listed

    found = await kraken.rest.symbols()

    assert len(found) > 200
    assert {"BTC/USD", "DOGE/EUR", "ETH/BTC"} <= found.keys()
    assert not any("XBT" in symbol or "XDG" in symbol for symbol in found)
