"""Closed klines that REST is asked about once more, and series whose klines it tells otherwise.

Life cycle: the kline intake makes one and notes what is in doubt; `pipeline.repair.kline_repair` asks, and what REST
tells comes back through the intake. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from data_collector.model.records import Kline
from data_collector.pipeline.sequence.series import KlineSeries
from data_collector.pipeline.sequence.trade_sequence import TradeSequence

DOUBTFUL_MAX = 1_000
"""Klines that wait to be compared with REST; further ones are counted alone."""

CONFIRMED_MS = 60_000
"""So long after its end REST's row of a kline is no older state of it, as a cache or a replica that lags may tell."""

APART_TOLD = 3
"""Built klines of a symbol in turn that REST tells otherwise."""

BEHIND_S = 10.0
"""How long nothing of what klines tell of may come: the silence of a stream is noticed, and REST asked, before."""

Origin = Literal["frame", "built", "told"]


class KlineDoubt(Struct, frozen=True):
    """A closed kline, and where it is from."""

    kline: Kline
    origin: Origin
    from_ms: int
    """When it is worth asking, by the exchange's clock."""

    @property
    def series(self) -> tuple[str, str]:
        return self.kline.symbol, self.kline.interval


class KlineDoubts:
    """What waits, and what was found."""

    def __init__(self) -> None:
        self.waiting: list[KlineDoubt] = []
        self._apart: Counter[str] = Counter()
        """How many built klines of a symbol in turn REST told otherwise."""
        self.newest_ids: dict[str, int] = {}
        """The last trade id that the newest kline of the stream names, by symbol."""
        self._behind: dict[str, tuple[int, float]] = {}
        """Symbols whose trades end before it: the trade that is due, and since when it has been."""

    def note(self, kline: Kline, origin: Origin) -> None:
        """REST is to tell what it has of a closed kline: of a frame at once, of others when that is final."""
        from_ms = 0 if origin == "frame" else kline.close_ms + 1 + CONFIRMED_MS
        doubt = KlineDoubt(kline, origin, from_ms)
        if len(self.waiting) < DOUBTFUL_MAX and doubt not in self.waiting:
            self.waiting.append(doubt)

    def note_told(self, kline: Kline, now_ms: int) -> None:
        """REST told it; where that may be an older state, it is asked again."""
        if 0 < now_ms <= kline.close_ms + CONFIRMED_MS:
            self.note(kline, "told")

    def note_built(self, kline: Kline, every: Iterable[KlineSeries], *, agrees: bool) -> None:
        """REST has told of a built kline. Where it differs, those around it are made of trades that were told alike."""
        symbol = kline.symbol
        if agrees:
            del self._apart[symbol]
            return
        self._apart[symbol] += 1
        if self._apart[symbol] == 1:
            for series in every:
                for other in series.built_since(0) if series.key.symbol == symbol else ():
                    if other != kline:
                        self.note(other, "built")

    def is_apart(self, symbol: str) -> bool:
        """Whether the newest built kline of the symbol that was compared is told otherwise."""
        return symbol in self._apart

    def look(self, collected: Mapping[str, TradeSequence], now_s: float) -> None:
        """Notice trades that klines tell of, and that nobody brings: the exchange's REST side may stand still too."""
        for symbol, told_id in self.newest_ids.items():
            sequence = collected.get(symbol)
            if sequence is None or not 0 <= sequence.next_id <= told_id:
                self._behind.pop(symbol, None)
            elif self._behind.get(symbol, (-1, 0.0))[0] != sequence.next_id:
                self._behind[symbol] = sequence.next_id, now_s

    def told(self, now_s: float) -> list[str]:
        """Sentences about symbols whose klines tell of trades that do not come, or that REST tells otherwise."""
        return self._told_behind(now_s) + [
            f"the last {count:,} klines of {symbol} that were compared are told otherwise by the exchange's REST side "
            "than its trades make them: REST's are in late: and kline:, and the trades may be wrong"
            for symbol, count in sorted(self._apart.items())
            if count >= APART_TOLD
        ]

    def _told_behind(self, now_s: float) -> list[str]:
        return [
            f"no trade of {symbol} has come for {now_s - since_s:.0f} s, and its klines tell of "
            f"{self.newest_ids[symbol] + 1 - due_id:,} trades since: the exchange's trades stand still"
            for symbol, (due_id, since_s) in sorted(self._behind.items())
            if now_s - since_s >= BEHIND_S
        ]
