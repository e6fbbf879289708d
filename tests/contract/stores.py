"""How contract tests write to a store and read from it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from operator import methodcaller

import redis

from data_collector.model.calendar import UtcCalendar
from data_collector.model.gaps import Gap, GapReason, explain_ids
from data_collector.model.keys import StoreKeys
from data_collector.model.records import Kline, Trade
from data_collector.model.sink import Batch, KlineUpdate, Refusal, TradeRun
from data_collector.model.store_url import StoreAddress
from data_collector.model.wire import json_text, trade_json, trade_time_text
from data_collector.observe.counters import Counters
from data_collector.sinks.redis.calls import CallBuilder, StoreLimits
from data_collector.sinks.redis.sink import RedisSink
from tests.market import MINUTE_MS, NOON_MS, PREFIX, SYMBOL, trade

SOURCE = "https://exchange.example"
WEEK_S = 604_800

Entry = tuple[str, dict[str, str]]


def limits(**changes: int) -> StoreLimits:
    """Of the size that no test reaches, but for what it names."""
    sizes = {"trades_maxlen": 1_000_000, "stream_maxlen": 1_000_000, "side_maxlen": 10_000} | changes
    return StoreLimits(
        trades_maxlen=sizes["trades_maxlen"],
        stream_maxlen=sizes["stream_maxlen"],
        kline_ttl_s=lambda interval: 3600 if interval == "1s" else WEEK_S,
        side_maxlen=sizes["side_maxlen"],
    )


def redis_sink(
    address: StoreAddress,
    *,
    counters: Counters | None = None,
    prefix: str = PREFIX,
    writer: str = "writer1",
    store_limits: StoreLimits | None = None,
    source: str = SOURCE,
) -> RedisSink:
    """A sink as the service makes it; `writer` names the process."""
    calls = CallBuilder(StoreKeys(prefix), store_limits or limits(), UtcCalendar(), writer, address.database)
    return RedisSink(address, calls, counters or Counters(), source=source)


@asynccontextmanager
async def opened(sink: RedisSink) -> AsyncIterator[RedisSink]:
    """The sink, open; closed with its socket at the end."""
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()
        await asyncio.sleep(0)


def refusal(trade_id: int, *rules: str) -> Refusal:
    """What quarantine keeps of a refused trade."""
    why = json.dumps([{"rule": rule, "message": "It is wrong."} for rule in rules])
    return Refusal(json.dumps({"trade_id": trade_id}), why, "2024-01-01T12:00:00.000+00:00", "{}", rules)


def run_of(
    trades: Sequence[Trade],
    refused: Iterable[int] = (),
    *,
    first_id: int | None = None,
    after: int | None = None,
    reason: GapReason = "absent",
    begins: bool = True,
) -> TradeRun:
    """The run that an outlet makes of consecutive trades; refused for their price.

    `after` is the id that came before: what lies between was refused, or is missing for `reason`.
    """
    entries: list[int | str] = []
    for one in trades:
        entries += [one.time_ms, trade_json(one, json_text(one.symbol))]
    refusals = {number: refusal(number, "price_positive") for number in refused}
    first_id = trades[0].trade_id if trades else first_id
    assert first_id is not None, "a run without trades says where it ends"
    rules = {number: refused.rules for number, refused in refusals.items()}
    gaps = [] if after is None else explain_ids(after + 1, first_id - 1, rules, reason)
    if not trades:
        return TradeRun(SYMBOL, first_id, [], "", "", 0, 0, refusals, gaps, begins)
    newest = trades[-1]
    time_text = trade_time_text(newest.time_ms, newest.sub_ms_us)
    return TradeRun(newest.symbol, first_id, entries, newest.price, time_text, 1, 2, refusals, gaps, begins)


def trades(
    first_id: int,
    last_id: int,
    refused: Iterable[int] = (),
    *,
    after: int | None = None,
    reason: GapReason = "absent",
    begins: bool = True,
) -> Batch:
    """A batch of one run, both ends included; see `run_of`."""
    numbers = range(first_id, last_id + 1)
    return Batch(
        trades=[run_of([trade(number) for number in numbers], refused, after=after, reason=reason, begins=begins)]
    )


def klines(*records: Kline, gaps: Sequence[Gap] = (), begins: bool = True) -> Batch:
    """A batch of one symbol; `gaps` go before the last one."""
    calendar = UtcCalendar()
    updates = [KlineUpdate(one, calendar.next_open_ms(one.interval, one.open_ms), begins=begins) for one in records]
    updates[-1].gaps = list(gaps)
    return Batch(klines=[updates])


def minutes(first: int, last: int, reason: GapReason, *rules: str) -> Gap:
    """A gap of 1m klines, by the minutes after noon."""
    return Gap(NOON_MS + first * MINUTE_MS, NOON_MS + last * MINUTE_MS, last - first + 1, reason, rules)


class OfExchange(redis.Redis):
    """Keys are named as those of the first exchange, and read and written as those of the tested one."""

    _KEY = re.compile(r"(trades|stream|kline|latest|gaps|late|quarantine|collector):")

    def execute_command(self, *args: object, **options: object) -> object:
        """Words that begin as keys do are keys."""
        named = [f"{PREFIX}{word}" if isinstance(word, str) and self._KEY.match(word) else word for word in args]
        return methodcaller("execute_command", *named, **options)(super())


class Reader:
    """What stands in the store, as redis-py reads it."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def entries(self, stream: str) -> list[Entry]:
        """All of a stream, oldest first."""
        found = self.client.xrange(stream) or []
        return [
            (str(entry_id), {str(name): str(value) for name, value in (fields or {}).items()})
            for entry_id, fields in found
        ]

    def records(self, stream: str) -> list[dict[str, object]]:
        """The `data` of all entries, numbers as `Decimal`."""
        return [json.loads(fields["data"], parse_float=Decimal) for _, fields in self.entries(stream)]

    def put_back(self, record: str, symbol: str = SYMBOL) -> None:
        """A kline in `stream:` as a collector wrote it, of which the state knows."""
        entry = self.client.xadd(f"stream:{symbol}", {"data": record})
        self.client.hset(f"collector:klines:{symbol}", "entry", str(entry))

    def ids(self, symbol: str = SYMBOL) -> list[object]:
        """Trade ids of `trades:`."""
        return [record["trade_id"] for record in self.records(f"trades:{symbol}")]

    def gaps(self, symbol: str = SYMBOL) -> list[tuple[object, object, object, object]]:
        """First, last, count and reason of each entry of `gaps:`."""
        return [(gap["first"], gap["last"], gap["count"], gap["reason"]) for gap in self.records(f"gaps:{symbol}")]

    def quarantined(self, symbol: str = SYMBOL) -> list[object]:
        """Trade ids of `quarantine:`."""
        return [record["trade_id"] for record in self.records(f"quarantine:{symbol}")]

    def minutes(self, symbol: str = SYMBOL) -> list[tuple[str, object]]:
        """Hour and minute of each entry of `stream:`, and whether it is closed."""
        return [(str(record["timestamp"])[11:16], record["is_closed"]) for record in self.records(f"stream:{symbol}")]

    def latest(self, symbol: str = SYMBOL) -> dict[str, str]:
        """The hash."""
        fields = self.client.hgetall(f"latest:{symbol}")
        assert isinstance(fields, dict)
        return {str(name): str(value) for name, value in fields.items()}
