"""What a stored record costs the store in memory: `python -m benchmarks.store_memory`.

The collector's own writer fills an embedded store with trades, klines and quotes of one symbol, exactly as it would in
service, and the store is asked for its memory before and after. The table in docs/settings.md comes from here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import msgspec

from data_collector.embedded.valkey import EmbeddedValkey
from data_collector.model.calendar import UtcCalendar
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Quote, Trade
from data_collector.model.sink import Batch, KlineUpdate, NewestUpdate, TradeRun
from data_collector.model.wire import trade_json, trade_time_text
from data_collector.observe.counters import Counters
from data_collector.observe.logs import configure_logs, get_log
from data_collector.settings import load_settings
from data_collector.sinks.redis.calls import CallBuilder, StoreLimits
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.sink import RedisSink

SYMBOL = "BTCUSDT"
RUN = 100
MINUTE_MS = 60_000
TRADE_STEP_MS = 40

_calendar = UtcCalendar()


def trades(count: int, first_ms: int) -> list[TradeRun]:
    """Trades as Binance's numbers look: eight decimals, ids of ten digits."""
    runs = []
    for start in range(0, count, RUN):
        entries: list[int | str] = []
        for number in range(start, min(start + RUN, count)):
            time_ms = first_ms + number * TRADE_STEP_MS
            price, quantity = f"{60_000 + number % 7919}.{number % 100:02}000000", f"0.{number % 99_991:05}000"
            trade = Trade(SYMBOL, 4_000_000_000 + number, price, quantity, time_ms, time_ms, number % 3 == 0)
            entries += (time_ms, trade_json(trade, f'"{SYMBOL}"'))
        text = trade_time_text(time_ms)
        now_ns = time.time_ns()
        runs.append(TradeRun(SYMBOL, 4_000_000_000 + start, entries, price, text, now_ns, now_ns, begins=start == 0))
    return runs


def klines(count: int, first_ms: int) -> list[KlineUpdate]:
    """Closed one-minute klines, one after the other."""
    updates = []
    for number in range(count):
        open_ms = first_ms + number * MINUTE_MS
        price = f"{60_000 + number % 7919}.{number % 100:02}000000"
        kline = Kline(
            SYMBOL, "1m", open_ms, open_ms + MINUTE_MS - 1, price, price, price, price, f"{number % 1000}.12345000",
            f"{number % 100_000}123.45678900", f"{number % 500}.12345000", f"{number % 50_000}123.45678900", 1234,
            True, open_ms + MINUTE_MS,
        )  # fmt: skip
        updates.append(KlineUpdate(kline, _calendar.next_open_ms("1m", open_ms), begins=number == 0))
    return updates


def quotes(count: int, first_ms: int) -> list[NewestUpdate]:
    """As Binance's numbers look: update ids of eleven digits."""
    updates = []
    for number in range(count):
        bid, ask = (f"{60_000 + number % 7919}.{number % 50 + more:02}000000" for more in (0, 1))
        quantity, now_ns = f"{number % 10}.{number % 99_991:05}000", (first_ms + number * TRADE_STEP_MS) * 1_000_000
        updates.append(NewestUpdate(Quote(SYMBOL, 70_000_000_000 + number, bid, quantity, ask, quantity, now_ns)))
    return updates


async def measure(trade_count: int, kline_count: int) -> dict[str, float]:
    """Bytes per trade entry, per kline entry, per kline key and per quote entry."""
    now_ms = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS
    limits = StoreLimits(trade_count, kline_count, load_settings({}, None).kline_ttl_s)
    with tempfile.TemporaryDirectory(prefix="dc-") as folder:
        store = EmbeddedValkey(Path(folder), port=0, log=get_log())
        try:
            await store.start()
            builder = CallBuilder(StoreKeys(), limits, _calendar, "benchmark")
            sink = RedisSink(store.local_address, builder, Counters(), source="benchmark")
            await sink.open()
            connection = await StoreConnection.connect(store.local_address)
            empty = await used_memory(connection)
            for run in trades(trade_count, now_ms):
                await sink.write(Batch(trades=[run]))
            with_trades = await used_memory(connection)
            updates = klines(kline_count, now_ms)
            for start in range(0, kline_count, RUN):
                await sink.write(Batch(klines=[updates[start : start + RUN]]))
            with_klines = await used_memory(connection)
            best = quotes(kline_count, now_ms)
            for start in range(0, kline_count, RUN):
                await sink.write(Batch(newest=best[start : start + RUN]))
            streams = [f"{name}:{SYMBOL}" for name in ("trades", "stream", "quotes")]
            counted = await connection.execute([("XLEN", stream) for stream in streams])
            assert counted == [trade_count, kline_count, kline_count], counted
            used = await connection.execute([("MEMORY", "USAGE", stream, "SAMPLES", "0") for stream in streams[1:]])
            entries, of_quotes = msgspec.convert(used, list[int])
            connection.close()
            await sink.close()
        finally:
            await store.stop()
    return {
        "trade_entry_bytes": (with_trades - empty) / trade_count,
        "kline_entry_bytes": entries / kline_count,
        "kline_key_bytes": (with_klines - with_trades - entries) / kline_count,
        "quote_entry_bytes": of_quotes / kline_count,
    }


async def used_memory(connection: StoreConnection) -> int:
    """What the server holds for data, without what it allocated and gave back."""
    (reply,) = await connection.execute([("MEMORY", "STATS")])
    assert isinstance(reply, list)
    return int(reply[reply.index("dataset.bytes") + 1])


def main() -> None:
    """Measure and print."""
    settings = load_settings({}, None)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=settings.trades_maxlen)
    parser.add_argument("--klines", type=int, default=settings.stream_maxlen)
    arguments = parser.parse_args()
    configure_logs()
    print(json.dumps(asyncio.run(measure(arguments.trades, arguments.klines)), indent=2))


if __name__ == "__main__":
    main()
