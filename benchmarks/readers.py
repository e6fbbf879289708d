"""What reading through the client costs: live beside a bare XREAD, history beside a bare COPY, and how old a record is.

Both of a pair read the same records of the same server, in turns. Live reading is compared by CPU of the reading
process, for nobody but it works; history by time, for there the reader and PostgreSQL work at once.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import redis

from benchmarks.feeder import Plan, kline_at, trade_at
from benchmarks.ranges import BARE, OLD, copied_s, fill
from benchmarks.rig import collecting, feeding
from benchmarks.served import SYMBOLS
from benchmarks.similar import compare_similar
from data_collector.client import Client, Records, Trade
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.observe.logs import get_log

ROUNDS = 5
SYMBOL = "BTCUSDT"
START_MS = 1_704_067_200_000
STATES = 30
"""Of each candle that the feeder knows; the last one is closed."""

ENTRIES_PER_READ = 1000
ENTRIES_PER_WRITE = 5000

LIVE_BARS = {"trades": 0.6, "1m": 0.4}
HISTORY_BAR = 0.7

PATHWAY = Path(".venv-foreign/pathway/bin/python")
"""The environment that its tests make."""
PATHWAY_ROUNDS = 3
PATHWAY_BAR = 0.9
BARS = 20_000
"""Of a backtest."""
BARS_BAR = 1.0

LEARNING = Path(".venv-foreign/sb3/bin/python")
"""The environment that its tests make: it has gym-anytrading too."""
STEPS_ROUNDS = 3
SINGLE_BAR = 0.6
"""Of gym-anytrading's StocksEnv, whose reward knows neither fees nor equity."""
VECTOR_BAR = 5.0
"""Of one environment."""

PER_S = 1_000
"""Trades that come in while their age is measured."""


async def run(*, rows: int, seconds: int) -> None:
    """Measure and print."""
    await _live(rows)
    await _history(rows)
    await asyncio.to_thread(_compare_environments)
    await _age(seconds)
    await asyncio.to_thread(compare_similar)


async def _live(records: int) -> None:
    print(f"{records:,} records of the live streams, client beside bare XREAD with hiredis ({ROUNDS} rounds in turns):")
    folder = Path(tempfile.mkdtemp(prefix="dc-bench-"))
    server = EmbeddedValkey(folder, log=get_log(), port=0)
    try:
        await server.start()
        with redis.from_url(server.address.whole) as store:
            _write(store, f"trades:{SYMBOL}", _trade_entries(records))
            _write(store, f"stream:{SYMBOL}", _kline_entries(records))
            for what, bar in LIVE_BARS.items():
                _compare_live(store, server.address.whole, what, records, bar)
            await asyncio.to_thread(_compare_pathway, server.address.whole, records)
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _write(store: redis.Redis, stream: str, entries: Iterator[tuple[str, str]]) -> None:
    while some := list(islice(entries, ENTRIES_PER_WRITE)):
        with store.pipeline(transaction=False) as pipeline:
            for entry_id, data in some:
                pipeline.xadd(stream, {"data": data}, entry_id)
            pipeline.execute()


def _trade_entries(count: int) -> Iterator[tuple[str, str]]:
    """Two trades a millisecond, as a burst has them."""
    for number in range(1, count + 1):
        trade = trade_at(SYMBOL, number, START_MS + number // 2)
        yield f"{trade.time_ms}-{number}", trade_json(trade, json_text(SYMBOL))


def _kline_entries(count: int) -> Iterator[tuple[str, str]]:
    """Minute after minute, closed."""
    for number in range(count):
        kline = kline_at(SYMBOL, START_MS, STATES * number + STATES - 1)
        yield f"{kline.close_ms}-0", kline_json(kline, json_text(SYMBOL))


def _compare_live(store: redis.Redis, url: str, what: str, records: int, bar: float) -> None:
    stream = f"{'trades' if what == 'trades' else 'stream'}:{SYMBOL}"
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(records / _cpu_s(lambda: _read_bare(store, stream, records)))
        ours.append(records / _cpu_s(lambda: _read_live(url, f"{SYMBOL}:{what}", records)))
    _tell(f"{what} bare XREAD", bare, "of CPU")
    _tell(f"{what} client", ours, "of CPU")
    _tell_share(what, ours, bare, "XREAD", bar)


def _cpu_s(read: Callable[[], None]) -> float:
    """Of this process."""
    begin = time.process_time()
    read()
    return time.process_time() - begin


def _read_bare(store: redis.Redis, stream: str, records: int) -> None:
    last = "0"
    for _ in range(0, records, ENTRIES_PER_READ):
        reply = store.xread({stream: last}, count=ENTRIES_PER_READ)
        assert isinstance(reply, list), "of protocol 2"
        last = reply[0][1][-1][0]


def _read_live(url: str, series: str, records: int) -> None:
    with Client(url, api="", database="") as client, client.live(series, start="earliest") as live:
        deque(islice(live, records), maxlen=0)


def _compare_pathway(url: str, records: int) -> None:
    """Tables beside those of the shortest connector that a user writes, and beside rows that are in memory already."""
    python = PATHWAY if PATHWAY.exists() else Path(sys.executable)
    if subprocess.run([python, "-c", "import pathway"], capture_output=True, check=False).returncode:
        print("  Pathway is not installed (the tests of test_pathway.py make an environment): not measured", flush=True)
        return
    for what in ("trades", "stream"):
        rates: dict[str, list[float]] = {"own": [], "ready": [], "ours": []}
        for way in list(rates) * PATHWAY_ROUNDS:
            words = (python, "-m", "benchmarks.pathway_rows", url, f"{what}:{SYMBOL}", way)
            ran = subprocess.run(words, capture_output=True, text=True, check=True)
            rows, cpu_s = ran.stdout.split()
            assert int(rows) == records, f"{rows} of {records:,} rows"
            rates[way].append(records / float(cpu_s))
        _tell(f"{what}, ConnectorSubject", rates["own"], "of CPU")
        _tell(f"{what}, ready rows", rates["ready"], "of CPU")
        _tell(f"{what}, pw.io.redis", rates["ours"], "of CPU")
        _tell_share(f"Pathway {what}", rates["ours"], rates["own"], "ConnectorSubject", PATHWAY_BAR)


async def _history(rows: int) -> None:
    print(f"{rows:,} rows of history, client beside a bare COPY of them ({ROUNDS} rounds in turns):")
    folder = Path(tempfile.mkdtemp(prefix="dc-bench-"))
    server, store = (
        EmbeddedPostgres(folder / "rows", log=get_log(), port=0),
        EmbeddedValkey(folder / "store", log=get_log(), port=0),
    )
    try:
        await server.start()
        await store.start()
        await fill(server.dsn, rows)
        with (
            redis.from_url(store.address.whole) as keys,
            Client(store.address.whole, api="", database=server.dsn) as client,
        ):
            keys.hset(f"latest:{OLD}", "price", "1")
            await _compare_history(server.dsn, "klines", client.klines(OLD, "1m", source="database"), rows)
            await _compare_history(server.dsn, "trades", client.trades(OLD, source="database"), rows)
            await asyncio.to_thread(_compare_backtrader, client, min(rows, BARS))
    finally:
        await store.stop()
        await server.empty()
        shutil.rmtree(folder, ignore_errors=True)


async def _compare_history(dsn: str, kind: str, records: Records, rows: int) -> None:
    # The client gives these two as well.
    query = BARE[kind].replace("from market", ", source, warnings from market")
    bare, frames, items = [], [], []
    # Libraries are loaded and the connection opened.
    records.to_numpy()
    for _ in range(ROUNDS):
        bare.append(rows / await copied_s(dsn, query))
        frames.append(rows / _wall_s(lambda: len(records.to_numpy()), rows))
        items.append(rows / _wall_s(lambda: sum(1 for _ in records), rows))
    _tell(f"{kind} bare COPY", bare)
    _tell(f"{kind} to_numpy()", frames)
    _tell(f"{kind} one by one", items)
    # Two processes take turns here, and what others do with the cores only adds to it: the quickest rounds compare.
    _tell_share(kind, [max(frames)], [max(bare)], "COPY", HISTORY_BAR)


def _compare_backtrader(client: Client, bars: int) -> None:
    """The feed, reading included, beside PandasData over a frame that is in memory already."""
    try:
        import backtrader as bt  # noqa: PLC0415

        from data_collector.client.adapters.backtrader import CandleFeed  # noqa: PLC0415
    except ImportError:
        print("  Backtrader is not installed (pip install backtrader): its bars are not measured", flush=True)
        return

    def run(feed: bt.feed.DataBase) -> None:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(feed)
        (strategy,) = cerebro.run()
        assert len(strategy) == bars, f"{len(strategy):,} of {bars:,} bars"

    frame = client.klines(OLD, "1m", START_MS, limit=bars).to_pandas()
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(bars / _cpu_s(lambda: run(bt.feeds.PandasData(dataname=frame))))
        ours.append(bars / _cpu_s(lambda: run(CandleFeed(client=client, symbol=OLD, start=START_MS, limit=bars))))
    _tell("Backtrader bars, PandasData", theirs, "of CPU")
    _tell("Backtrader bars, CandleFeed", ours, "of CPU")
    _tell_share("Backtrader bars", ours, theirs, "PandasData", BARS_BAR)


def _compare_environments() -> None:
    python = LEARNING if LEARNING.exists() else Path(sys.executable)
    print(f"Steps of environments for agents ({STEPS_ROUNDS} rounds in turns):")
    rates: dict[str, list[float]] = {"single": [], "vector": [], "StocksEnv": []}
    for way in list(rates) * STEPS_ROUNDS:
        words = (python, "-m", "benchmarks.environment_steps", way)
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            rates[way].append(float(ran.stdout))
    if not rates["single"]:
        print("  Gymnasium is not installed (pip install gymnasium): not measured", flush=True)
        return
    _tell("CandleEnv", rates["single"], "of CPU")
    _tell("CandleVectorEnv, 64", rates["vector"], "of CPU")
    _tell_share("CandleVectorEnv", rates["vector"], rates["single"], "CandleEnv", VECTOR_BAR)
    if not rates["StocksEnv"]:
        print(
            "  gym-anytrading is not installed (the tests of test_sb3.py make an environment): not compared", flush=True
        )
        return
    _tell("StocksEnv", rates["StocksEnv"], "of CPU")
    _tell_share("CandleEnv", rates["single"], rates["StocksEnv"], "StocksEnv", SINGLE_BAR)


def _wall_s(read: Callable[[], int], rows: int) -> float:
    begin = time.perf_counter()
    count = read()
    assert count == rows, f"{count:,} of {rows:,} rows"
    return time.perf_counter() - begin


async def _age(seconds: int) -> None:
    frames = PER_S * (seconds + 60)
    plan = Plan(SYMBOLS, frames=frames, per_s=PER_S, is_stamped=True)
    async with feeding(plan) as url, collecting(SYMBOLS, url) as rig:
        await rig.read_until(lambda reading: reading.received >= PER_S, timeout_s=60)
        store_url = (await rig.snapshot()).store_url
        assert store_url is not None, "the store is open"
        ages = await asyncio.to_thread(_ages, store_url, PER_S * seconds)
    p50, p99 = (sorted(ages)[int(len(ages) * part)] for part in (0.50, 0.99))
    print(
        f"Age of a trade when the client has it, at {PER_S:,} trades/s: p50 {p50 * 1e3:.1f} ms   p99 {p99 * 1e3:.1f} ms"
        "   (up to 1 ms of it is rounding)",
        flush=True,
    )


def _ages(url: str, records: int) -> list[float]:
    """Seconds between the exchange's time of a trade and the moment when the programme gets it."""
    found = []
    with Client(url, api="", database="") as client:
        for item in islice(client.live(*(f"{symbol}:trades" for symbol in SYMBOLS)), records):
            assert isinstance(item, Trade), f"nothing is missing: {item}"
            found.append(time.time() - item.timestamp.timestamp())
    return found


def _tell(name: str, rates: Sequence[float], unit: str = "") -> None:
    median = statistics.median(rates)
    print(f"  {name:18} {median:11,.0f}/s {unit}   ({min(rates):,.0f} to {max(rates):,.0f})", flush=True)


def _tell_share(what: str, ours: Sequence[float], bare: Sequence[float], peer: str, bar: float) -> None:
    share = statistics.median(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
    print(f"  {what:18} {share:.2f} of bare {peer}, bar {bar}: {'met' if share >= bar else 'missed'}", flush=True)
