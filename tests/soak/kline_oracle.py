"""Holds the closed klines of `stream:` against the exchange's own, after each round."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from data_collector.model.records import Kline
from tests.integration.exactness import iso
from tests.soak.findings import Findings
from tests.soak.servers import Server
from tests.soak.trade_oracle import pages
from tests.soak.truth import Truth

STEPS_MS = {"1m": 60_000, "5m": 300_000}

AMOUNTS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
    "trades",
)  # fmt: skip

CUT = Decimal("1e-8")
"""An exchange cuts the quote amount of each trade to eight decimals; what is built from the trades does not."""

Amounts = tuple[str | None, ...]


class StoredKline(Struct):
    """The contract's kline record; the digits stay as they stand."""

    symbol: str
    timestamp: str
    interval: str
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw
    trades: int | None
    is_closed: bool
    quote_volume: msgspec.Raw
    taker_buy_base_volume: msgspec.Raw
    taker_buy_quote_volume: msgspec.Raw

    source: str = "ws"

    @property
    def amounts(self) -> Amounts:
        """All that is no name."""
        raw = (
            self.open, self.high, self.low, self.close, self.volume, self.quote_volume, self.taker_buy_base_volume,
            self.taker_buy_quote_volume,
        )  # fmt: skip
        texts = (*(bytes(amount).decode() for amount in raw), "null" if self.trades is None else str(self.trades))
        return tuple(None if text == "null" else text for text in texts)

    def is_as(self, true: Amounts, *, literally: bool) -> bool:
        """Whether it tells what is true; one from REST may tell less."""
        if literally or not true:
            return self.amounts == true
        return all(
            self.source == "rest" if told is None else amount is not None and self._is_near(name, told, amount)
            for name, told, amount in zip(AMOUNTS, self.amounts, true, strict=True)
        )

    def _is_near(self, name: str, told: str, true: str) -> bool:
        cut = CUT * (self.trades or 0) if self.source == "built" and "quote" in name else 0
        return abs(Decimal(told) - Decimal(true)) <= cut


_decode = msgspec.json.Decoder(StoredKline).decode


def _true_amounts(kline: Kline) -> Amounts:
    amounts = (
        kline.open, kline.high, kline.low, kline.close, kline.volume, kline.quote_volume, kline.taker_buy_base_volume,
        kline.taker_buy_quote_volume, kline.trades,
    )  # fmt: skip
    return tuple(map(str, amounts))


class KlineOracle:
    """Of one symbol and interval."""

    def __init__(self, truth: Truth, interval: str, findings: Findings) -> None:
        self.interval = interval
        self.truth = truth
        self.newest_ms = -1
        """Open time of the last closed kline that was held against the truth."""
        self.begins_ms = -1
        """What closed before this may be missing: a store was emptied then, and the plan excuses it."""
        self.checked = 0
        self.held: set[int] = set()
        """Open times of the closed klines that the newest scan found."""
        self._findings = findings

    def behind(self, closed: list[Kline]) -> str:
        """What the newest scan did not find, if that is the last of these; else an empty text."""
        if not closed or closed[-1].open_ms in self.held or closed[-1].close_ms < self.begins_ms:
            return ""
        if self.held and closed[-1].open_ms < min(self.held):
            # Over before anybody collected.
            return ""
        return f"has {iso(max(self.held)) if self.held else 'none'} and not {iso(closed[-1].open_ms)}"

    def verify(self, stored: list[StoredKline], closed: list[Kline]) -> None:
        """`closed`: the exchange's own, at least as new as what is stored. Both oldest first."""
        truth = {kline.open_ms: _true_amounts(kline) for kline in closed}
        self.held.clear()
        before = -1
        for kline in stored:
            open_ms = int(datetime.fromisoformat(kline.timestamp).timestamp() * 1000)
            if open_ms <= before:
                self._note(self._findings.klines_doubled, open_ms, f"stands behind {iso(before)}")
                continue
            due = before + STEPS_MS[self.interval] if before >= 0 else self._due(open_ms)
            for missing in range(due, open_ms, STEPS_MS[self.interval]):
                self._note(self._findings.klines_lost, missing, f"is not there; {iso(open_ms)} follows")
            true = truth.get(open_ms, kline.amounts if kline.trades == 0 else ())
            if not kline.is_as(true, literally=self.truth.is_literal):
                told = f"is stored as {kline.amounts}, and was {truth.get(open_ms)} ({kline.source})"
                self._note(self._findings.klines_changed, open_ms, told)
            self.held.add(open_ms)
            before = open_ms
        self.checked += sum(open_ms > self.newest_ms for open_ms in self.held)
        self.newest_ms = max(self.newest_ms, before)

    def _due(self, open_ms: int) -> int:
        # Trimmed, or emptied by a fault: it may begin early, not behind what was verified before.
        step = STEPS_MS[self.interval]
        due = open_ms if self.newest_ms < 0 else min(open_ms, self.newest_ms + step)
        excused = self.begins_ms // step * step
        return min(open_ms, max(due, excused))

    def _note(self, found: set[tuple[str, str, int]], open_ms: int, what: str) -> None:
        key = (self.truth.name, self.interval, open_ms)
        if key not in found:
            found.add(key)
            self._findings.tell(f"{self.truth.key('stream')}: closed {self.interval} of {iso(open_ms)} {what}")


async def stored_klines(server: Server, truth: Truth) -> dict[str, list[StoredKline]]:
    """The closed klines of a symbol by interval. Raises `SinkUnavailable` or `ReplyError`."""
    found: dict[str, list[StoredKline]] = {}
    async for page in pages(server, truth.key("stream"), ""):
        for _, fields in page:
            if '"is_closed":true' in fields.get("data", ""):
                kline = _decode(fields["data"])
                kline.source = fields.get("src", "ws")
                found.setdefault(kline.interval, []).append(kline)
    return found
