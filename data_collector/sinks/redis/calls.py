"""From a batch to the commands that store it, and from a refused command to the next try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from msgspec import Struct

from data_collector.model.batch import Batch, KlineUpdate, SideEntry, TradeRun, gap_json
from data_collector.model.calendar import Calendar, missing_range
from data_collector.model.gaps import Gap, GapReason, explain_ids
from data_collector.model.records import Ticker
from data_collector.model.wire import json_text, kline_json, open_time_text, ticker_fields, trade_time_text
from data_collector.sinks.redis.connection import Command
from data_collector.sinks.redis.functions import APPEND_KLINES, APPEND_ONCE, APPEND_TRADES, PUT_TICKER

KLINES_PER_CALL = 100
"""One call blocks the server; this many take below a millisecond."""

MARKER_LIFE_S = 86_400
"""How long a writer's marker outlives its last entry."""


class StoreLimits(Struct, frozen=True):
    """How much the store keeps."""

    trades_maxlen: int
    stream_maxlen: int
    kline_ttl_s: Callable[[str], int]
    """Interval to seconds."""
    side_maxlen: int = 10_000
    """Entries of each `gaps:`, `late:` and `quarantine:` stream."""


class Call(Struct):
    """A command and what it carries."""

    command: Command
    subject: TradeRun | list[KlineUpdate] | Ticker | SideEntry
    gaps: dict[str, list[Gap]]
    """What this try declares, by channel: counted when it is stored."""


class CallBuilder:
    """Builds the commands; pure but for the clock in `recorded_at`."""

    def __init__(self, prefix: str, limits: StoreLimits, calendar: Calendar, writer: str) -> None:
        self._prefix = prefix
        self._limits = limits
        self._calendar = calendar
        self._writer = writer

    def calls(self, batch: Batch) -> Iterator[Call]:
        """The first try of everything in a batch."""
        for run in batch.trades:
            yield self.trades(run)
        for updates in batch.klines:
            for start in range(0, len(updates), KLINES_PER_CALL):
                yield self.klines(updates[start : start + KLINES_PER_CALL])
        for ticker in batch.tickers:
            yield self.ticker(ticker)
        for entry in batch.side:
            yield self.side(entry)

    def trades(self, run: TradeRun, *, bridge: tuple[int, GapReason] | None = None) -> Call:
        """`bridge`: the store's tail, and why what lies between it and the run is missing."""
        symbol, prefix, side_maxlen = run.symbol, self._prefix, self._limits.side_maxlen
        gaps: list[Gap] = []
        bridged = texts = refusals = ""
        if bridge is not None:
            tail, reason = bridge
            rules = {number: refusal.rules for number, refusal in run.refused.items()}
            gaps = explain_ids(tail + 1, run.first_id - 1, rules, reason)
            bridged, texts = str(tail), self._gap_texts(symbol, "trade", None, gaps)
        if run.refused:
            refusals = json.dumps([[number, r.content, r.why, r.at] for number, r in sorted(run.refused.items())])
        return Call(
            (
                "FCALL", APPEND_TRADES, 4, f"{prefix}trades:{symbol}", f"{prefix}latest:{symbol}",
                f"{prefix}gaps:{symbol}", f"{prefix}quarantine:{symbol}", run.first_id, run.count,
                self._limits.trades_maxlen, side_maxlen, run.price, run.time_text, bridged, texts, refusals,
                *run.entries,
            ),
            run,
            {"trade": gaps},
        )  # fmt: skip

    def klines(self, updates: list[KlineUpdate], *, bridges: dict[str, tuple[int, GapReason]] | None = None) -> Call:
        """Updates of one symbol. `bridges`: per interval the open time that the store misses, and why."""
        symbol, prefix = updates[0].kline.symbol, self._prefix
        symbol_json = json_text(symbol)
        keys: list[str] = []
        arguments: list[str | int] = []
        declared: list[Gap] = []
        waiting = dict(bridges or {})
        for update in updates:
            kline = update.kline
            bridged, gaps = "", list[Gap]()
            bridge = waiting.get(kline.interval)
            if bridge is not None and kline.is_closed and kline.open_ms > bridge[0]:
                del waiting[kline.interval]
                bridged, gaps = str(bridge[0]), self._kline_gaps(update, *bridge)
                declared += gaps
            keys.append(f"{prefix}kline:{symbol}:{kline.interval}:{open_time_text(kline.open_ms)}")
            arguments += (
                kline.interval, kline.open_ms, update.next_open_ms, kline.event_ms, int(kline.is_closed),
                self._limits.kline_ttl_s(kline.interval), bridged,
                self._gap_texts(symbol, "kline", kline.interval, gaps), kline_json(kline, symbol_json),
            )  # fmt: skip
        return Call(
            (
                "FCALL", APPEND_KLINES, 3 + len(updates), f"{prefix}stream:{symbol}",
                f"{prefix}collector:klines:{symbol}", f"{prefix}gaps:{symbol}", *keys, self._limits.stream_maxlen,
                self._limits.side_maxlen, len(updates), *arguments,
            ),
            updates,
            {"kline": declared},
        )  # fmt: skip

    def ticker(self, ticker: Ticker) -> Call:
        """Statistics into `latest:`."""
        time_text = trade_time_text(ticker.event_ms)
        return Call(
            (
                "FCALL", PUT_TICKER, 1, f"{self._prefix}latest:{ticker.symbol}", ticker.event_ms, ticker.last_id,
                ticker.last_price, time_text, *ticker_fields(ticker),
            ),
            ticker,
            {},
        )  # fmt: skip

    def side(self, entry: SideEntry) -> Call:
        """An entry of `quarantine:` or `late:`."""
        marker = f"{self._prefix}collector:writer:{self._writer}"
        return Call(
            (
                "FCALL", APPEND_ONCE, 2, f"{self._prefix}{entry.stream}", marker, self._limits.side_maxlen,
                entry.number, MARKER_LIFE_S, *entry.fields,
            ),
            entry,
            {},
        )  # fmt: skip

    def _kline_gaps(self, update: KlineUpdate, first_ms: int, reason: GapReason) -> list[Gap]:
        kline = update.kline
        last_ms, count = missing_range(self._calendar, kline.interval, first_ms, kline.open_ms)
        refused = {open_ms: rules for open_ms, rules in update.refused.items() if first_ms <= open_ms <= last_ms}
        if not refused:
            return [Gap(first_ms, last_ms, count, reason)]
        gaps: list[Gap] = []
        position = first_ms
        for open_ms in sorted(refused):
            if open_ms > position:
                before, missing = missing_range(self._calendar, kline.interval, position, open_ms)
                gaps.append(Gap(position, before, missing, reason))
            gaps.append(Gap(open_ms, open_ms, 1, "refused", refused[open_ms]))
            position = self._calendar.next_open_ms(kline.interval, open_ms)
        if position <= last_ms:
            _, missing = missing_range(self._calendar, kline.interval, position, kline.open_ms)
            gaps.append(Gap(position, last_ms, missing, reason))
        return gaps

    def _gap_texts(self, symbol: str, channel: str, interval: str | None, gaps: list[Gap]) -> str:
        if not gaps:
            return ""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        texts = []
        for gap in gaps:
            first, last = str(gap.first), str(gap.last)
            if interval is not None:
                first, last = f'"{open_time_text(gap.first)}"', f'"{open_time_text(gap.last)}"'
            texts.append(gap_json(json_text(symbol), channel, interval, gap, first, last, now))
        return json.dumps(texts)
