"""The REST client against the simulated exchange over a socket: pages, lies, limits, and who waits for whom."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from data_collector.decoding.bounded import ASKED_S_MAX
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.venue import TradePage
from data_collector.observe.counters import Counters
from data_collector.observe.metrics import METRICS
from data_collector.rest.budget import WeightBudget
from data_collector.rest.client import FAILED_WAIT_S_MAX
from data_collector.simulator import RestFault, Simulator, SimulatorSettings
from data_collector.simulator.control.actions import SetStatus, SkipIds
from data_collector.venues.binance.rest import BinanceRest
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.waiting import until_async

START_MS = 1_700_000_040_000
MINUTE_MS = 60_000
TRADES, AGGREGATES, KLINES = "/api/v3/historicalTrades", "/api/v3/aggTrades", "/api/v3/klines"
DEADLINE_S = 60.0


class Scene:
    """A market whose time stands still and a client of it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.counters = Counters()
        self.slept: list[float] = []
        # In the middle of a minute for ever, so that no count begins anew while a test looks at it.
        budget = WeightBudget(6_000, clock=lambda: START_MS / 1000 + 30, sleep=self._sleep)
        self.rest = BinanceRest(simulator.rest_url, counters=self.counters, budget=budget)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.Event().wait()

    @property
    def ids(self) -> list[int]:
        return [trade.trade_id for trade in self.simulator.tape("BTCUSDT")]

    @property
    def bad_pages(self) -> float:
        return self.counters.value("data_collector_rest_bad_pages_total")

    def requests(self, outcome: str) -> float:
        return self.counters.value("data_collector_rest_requests_total", outcome=outcome)


Start = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[Scene] = []

    async def start_one(*, trades_per_s: float = 20.0, history_trades: int = 2_000, **changes: int) -> Scene:
        settings = SimulatorSettings(
            start_ms=START_MS, driven=True, symbols=("BTCUSDT",), trades_per_s=trades_per_s,
            history_trades=history_trades, **changes,  # type: ignore[arg-type]
        )  # fmt: skip
        simulator = Simulator(settings, [SPEAKER])
        await simulator.start()
        running.append(Scene(simulator))
        simulator.market.symbol("BTCUSDT")
        return running[-1]

    yield start_one
    for scene in running:
        await scene.rest.close()
        await scene.simulator.stop()


async def test_pages_from_an_id_are_the_tape(start: Start) -> None:
    scene = await start()
    ids = scene.ids

    trades = (await scene.rest.trades("BTCUSDT", ids[5], limit=7)).trades

    assert trades == [replace(trade, sub_ms_us=None) for trade in scene.simulator.tape("BTCUSDT")[5:12]]
    assert (await scene.rest.trades("BTCUSDT", ids[-1] + 1)).trades == []
    assert [trade.trade_id for trade in (await scene.rest.trades("BTCUSDT", ids[-2])).trades] == ids[-2:]


async def test_ids_that_nobody_has_are_a_hole_inside_a_page(start: Start) -> None:
    scene = await start()
    before = scene.ids[-1]
    await scene.simulator.perform(SkipIds("BTCUSDT", 10))
    await scene.simulator.burst("BTCUSDT", 3)

    trades = (await scene.rest.trades("BTCUSDT", before)).trades

    assert [trade.trade_id for trade in trades] == [before, before + 11, before + 12, before + 13]


async def test_trades_that_the_exchange_keeps_no_more_are_answered_with_later_ones(start: Start) -> None:
    scene = await start(tape_trades_max=2_000, history_trades=100)
    gone = scene.ids[0]
    await scene.simulator.burst("BTCUSDT", 5_000)

    trades = (await scene.rest.trades("BTCUSDT", gone, limit=2)).trades

    assert [trade.trade_id for trade in trades] == scene.ids[:2]
    assert trades[0].trade_id > gone


async def test_first_trade_since_a_time(start: Start) -> None:
    scene = await start()
    scene.simulator.advance(MINUTE_MS)
    tape = scene.simulator.tape("BTCUSDT")
    expected = next(trade.trade_id for trade in tape if trade.time_ms >= START_MS + 1)

    assert await scene.rest.first_trade_id("BTCUSDT", START_MS + 1) == expected
    assert await scene.rest.first_trade_id("BTCUSDT", START_MS + 2 * MINUTE_MS) is None


async def test_newest_trade_is_found_however_long_ago_it_was(start: Start) -> None:
    scene = await start(trades_per_s=0.0)
    scene.simulator.advance(2 * DAY_MS)

    (ticker,) = await scene.rest.tickers(["BTCUSDT"])

    assert (ticker.last_id, ticker.count) == (-1, 0)
    assert await scene.rest.newest_trade_id("BTCUSDT") == scene.ids[-1]


async def test_klines_are_the_closed_ones_of_the_span(start: Start) -> None:
    scene = await start()
    scene.simulator.advance(5 * MINUTE_MS + 2_000)

    klines = (await scene.rest.klines("BTCUSDT", "1m", START_MS, START_MS + 60 * MINUTE_MS)).klines

    truth = [kline for kline in scene.simulator.closed_klines("BTCUSDT", "1m") if kline.open_ms >= START_MS]
    assert [(kline.open_ms, kline.close, kline.volume, kline.trades) for kline in klines] == [
        (kline.open_ms, kline.close, kline.volume, kline.trades) for kline in truth
    ]
    assert all(kline.is_closed for kline in klines)


async def test_klines_of_long_ago_cost_no_look_at_the_clock_but_an_open_one_is_never_told(start: Start) -> None:
    scene = await start(history_ms=3 * 24 * 60 * MINUTE_MS)
    rest, day_ms = scene.rest, 24 * 60 * MINUTE_MS
    await rest.server_time_ms()
    before = rest.weight_used

    old = (await rest.klines("BTCUSDT", "1m", START_MS - 2 * day_ms, START_MS)).klines
    cost_of_old = rest.weight_used - before
    recent = (await rest.klines("BTCUSDT", "1m", START_MS - 5 * MINUTE_MS, START_MS + day_ms)).klines
    cost_of_recent = rest.weight_used - before - cost_of_old

    assert (len(old), cost_of_old) == (1000, 2)
    assert ([(each.open_ms - START_MS) // MINUTE_MS for each in recent], cost_of_recent) == ([-5, -4, -3, -2], 3)


async def test_klines_that_never_were_stay_a_hole(start: Start) -> None:
    scene = await start()
    scene.simulator.advance(MINUTE_MS)
    await scene.simulator.perform(SetStatus("BTCUSDT", "BREAK"))
    scene.simulator.advance(3 * MINUTE_MS)
    await scene.simulator.perform(SetStatus("BTCUSDT", "TRADING"))
    scene.simulator.advance(MINUTE_MS + 2_000)

    klines = (await scene.rest.klines("BTCUSDT", "1m", START_MS, START_MS + 10 * MINUTE_MS)).klines

    assert [(kline.open_ms - START_MS) // MINUTE_MS for kline in klines] == [0, 4]


LIES = {
    "overlap": RestFault(path=TRADES, kind="overlap", span=3),
    "shuffle": RestFault(path=TRADES, kind="shuffle"),
    "repeated": RestFault(path=TRADES, kind="alter", row=1, add={"id": -1}),
    "huge": RestFault(path=TRADES, kind="alter", row=-1, set={"id": 2**53}),
    "negative": RestFault(path=TRADES, kind="alter", row=0, set={"id": -1}),
}


@pytest.mark.parametrize("name", LIES)
async def test_page_that_lies_about_ids_is_counted_and_the_next_one_taken(start: Start, name: str) -> None:
    scene = await start()
    scene.simulator.faults.add(replace(LIES[name], count=1))

    with pytest.raises(VenueUnreachable, match="trades of BTCUSDT from"):
        await scene.rest.trades("BTCUSDT", scene.ids[10], limit=20)

    assert scene.bad_pages == 1
    assert len((await scene.rest.trades("BTCUSDT", scene.ids[10], limit=20)).trades) == 20


async def test_short_page_and_hole_of_rest_are_taken_as_they_come(start: Start) -> None:
    scene = await start()
    ids = scene.ids
    scene.simulator.faults.add(RestFault(path=TRADES, kind="short", count=1))
    scene.simulator.faults.add(RestFault(path=TRADES, kind="missing", span=3, count=1))

    short = (await scene.rest.trades("BTCUSDT", ids[0], limit=1000)).trades
    holed = (await scene.rest.trades("BTCUSDT", ids[0], limit=1000)).trades

    assert [trade.trade_id for trade in short] == ids[:500]
    assert [trade.trade_id for trade in holed] == [*ids[:500], *ids[503:1003]]
    assert scene.bad_pages == 0


@pytest.mark.parametrize(
    "fault",
    [
        RestFault(path=KLINES, kind="overlap", span=2),
        RestFault(path=KLINES, kind="shuffle"),
    ],
    ids=["overlap", "shuffle"],
)
async def test_klines_that_lie_are_counted(start: Start, fault: RestFault) -> None:
    scene = await start()
    scene.simulator.advance(10 * MINUTE_MS)
    scene.simulator.faults.add(fault)

    with pytest.raises(VenueUnreachable, match="klines of BTCUSDT 1m"):
        await scene.rest.klines("BTCUSDT", "1m", START_MS, START_MS + 10 * MINUTE_MS)

    assert scene.bad_pages == 1


FAILURES = {
    "429": (RestFault(status=429, retry_after_s=7), "limited", 7.0),
    "429 that tells no time": (RestFault(status=429, retry_after_s=0), "limited", 1.0),
    "418": (RestFault(status=418, retry_after_s=120), "banned", 120.0),
    "403": (RestFault(status=403), "forbidden", 10.0),
    "451": (RestFault(status=451), "unserved", 3600.0),
    "500": (RestFault(status=500), "failed", None),
    "503 that tells when": (RestFault(status=503, retry_after_s=3), "failed", 3.0),
    "503 that asks for 31 years": (RestFault(status=503, retry_after_s=10**9), "failed", FAILED_WAIT_S_MAX),
    "429 that asks for 31 years": (RestFault(status=429, retry_after_s=10**9), "limited", ASKED_S_MAX),
    "redirect": (RestFault(status=302, location="http://127.0.0.1:9/"), "failed", None),
    "other types": (RestFault(kind="alter", set={"id": "7", "f": "7", "0": "7"}), "malformed", None),
}  # fmt: skip


@pytest.mark.parametrize("path", [TRADES, AGGREGATES, KLINES])
@pytest.mark.parametrize("name", FAILURES)
async def test_failure_is_told_counted_and_obeyed(start: Start, path: str, name: str) -> None:
    scene = await start()
    fault, outcome, wait_s = FAILURES[name]
    scene.simulator.faults.add(replace(fault, path=path))

    with pytest.raises(VenueUnreachable) as caught:
        await ask(scene.rest, path)

    assert caught.value.retry_after_s == wait_s
    assert scene.requests(outcome) == 1
    asked = scene.simulator.state()["rest_requests"]
    if wait_s is not None:
        assert scene.counters.value("data_collector_rest_banned_until_seconds") > 0
        with pytest.raises(VenueUnreachable, match="asks us to wait"):
            await scene.rest.symbols()
        assert scene.simulator.state()["rest_requests"] == asked


async def ask(rest: BinanceRest, path: str) -> None:
    match path:
        case "/api/v3/historicalTrades":
            await rest.trades("BTCUSDT", 0)
        case "/api/v3/aggTrades":
            await rest.first_trade_id("BTCUSDT", 0)
        case _:
            await rest.klines("BTCUSDT", "1m", 0, START_MS)


async def test_empty_list_is_nothing_and_empty_object_is_refused(start: Start) -> None:
    scene = await start()
    scene.simulator.faults.add(RestFault(empty=True))

    assert await scene.rest.trades("BTCUSDT", 1) == TradePage([], reaches_head=True)
    assert await scene.rest.first_trade_id("BTCUSDT", START_MS) is None
    with pytest.raises(VenueUnreachable):
        await scene.rest.server_time_ms()


async def test_unknown_symbol_is_refused_for_good(start: Start) -> None:
    scene = await start()

    with pytest.raises(VenueRefused, match="code -1121") as caught:
        await scene.rest.trades("NOPEUSDT", 1)

    assert not caught.value.endpoint_wide
    assert scene.requests("refused") == 1


async def test_after_429_nothing_is_asked_that_would_bring_418(start: Start) -> None:
    scene = await start(weight_per_minute=60)

    answers = await asyncio.gather(
        *(scene.rest.trades("BTCUSDT", 1, urgent=True) for _ in range(40)), return_exceptions=True
    )

    assert sum(isinstance(answer, TradePage) for answer in answers) == 2
    assert scene.requests("banned") == 0
    assert 1 <= scene.requests("limited") <= 4


async def test_catching_up_waits_where_live_repair_goes_on(start: Start) -> None:
    scene = await start()
    page = functools.partial(scene.rest.trades, "BTCUSDT", scene.ids[0], limit=1)
    for _ in range(108):
        await page()

    late = asyncio.create_task(page())
    async with asyncio.timeout(DEADLINE_S):
        await until_async(lambda: scene.slept == [30.5])
        await page(urgent=True)
        await scene.rest.symbols()

    assert scene.rest.weight_used == 109 * 25 + 20
    assert not late.done()
    late.cancel()


async def test_request_that_hangs_holds_up_no_other(start: Start) -> None:
    scene = await start()
    scene.simulator.faults.add(RestFault(path=TRADES, hang=True))
    hanging = [asyncio.create_task(scene.rest.trades("BTCUSDT", 1)) for _ in range(5)]
    async with asyncio.timeout(DEADLINE_S):
        await until_async(lambda: scene.simulator.state()["rest_requests"] == 2)

        assert await scene.rest.first_trade_id("BTCUSDT", 0, urgent=True) == scene.ids[0]
        assert "BTCUSDT" in await scene.rest.symbols()

    assert not any(task.done() for task in hanging)
    for task in hanging:
        task.cancel()


async def test_request_that_hangs_ends_with_the_timeout(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_collector.rest.client.TIMEOUT_S", 0.2)
    scene = await start()
    scene.simulator.faults.add(RestFault(path=TRADES, hang=True))

    with pytest.raises(VenueUnreachable, match="did not answer within"):
        await scene.rest.trades("BTCUSDT", 1)

    assert scene.requests("timeout") == 1
    assert scene.rest.weight_used == 25


async def test_everything_that_is_counted_is_declared(start: Start) -> None:
    scene = await start(weight_per_minute=20)
    for fault in (RestFault(status=500, count=1), RestFault(status=429, count=1)):
        scene.simulator.faults.add(fault)
        with pytest.raises(VenueUnreachable):
            await scene.rest.server_time_ms()

    declared = {metric.name: {label.name for label in metric.labels} for metric in METRICS}
    for sample in scene.counters.samples():
        assert set(sample.labels) == declared[sample.name]
