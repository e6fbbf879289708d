"""Looks at `gaps:`: what it tells must be missing indeed, and `absent` must be what the exchange has not."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import msgspec
from msgspec import Struct

from tests.soak.findings import Findings
from tests.soak.kline_oracle import STEPS_MS, KlineOracle
from tests.soak.servers import Server
from tests.soak.trade_oracle import TradeOracle, pages

RANGE_MAX = 2_000_000


class DeclaredGap(Struct):
    """The contract's gap record."""

    channel: str
    interval: str | None
    first: int | str
    last: int | str
    count: int
    reason: str


_decode = msgspec.json.Decoder(DeclaredGap).decode


class GapOracle:
    """Of one symbol; looks at each entry once."""

    def __init__(self, trades: TradeOracle, klines: list[KlineOracle], findings: Findings) -> None:
        self.declared: Counter[str] = Counter()
        """Records in declared ranges, by channel and reason."""
        self._trades = trades
        self._klines = {oracle.interval: oracle for oracle in klines}
        self._findings = findings
        self._seen: set[str] = set()

    async def verify(self, server: Server) -> None:
        """Call after trades and klines have been verified."""
        key = self._trades.truth.key("gaps")
        async for page in pages(server, key, ""):
            for entry_id, fields in page:
                text = fields.get("data", "")
                if text in self._seen or text in self._findings.planted:
                    continue
                self._seen.add(text)
                gap = _decode(text)
                self.declared[f"{gap.channel} {gap.reason}"] += gap.count
                if self._findings.planted and gap.channel == "trade" and gap.reason == "refused":
                    # A liar's frame was judged in place of the true one: that is told, and not lost.
                    self._findings.explain(self._trades.truth.name, range(int(gap.first), int(gap.last) + 1))
                why = self._fault(gap)
                if why is not None:
                    self._findings.gaps_false.add(f"{key} {entry_id}")
                    self._findings.tell(f"{key} {entry_id}: {why}: {text}")

    def _fault(self, gap: DeclaredGap) -> str | None:
        if gap.channel == "trade":
            first, last = int(gap.first), int(gap.last)
            if gap.count != last - first + 1 or gap.count > RANGE_MAX:
                return "the count is wrong"
            traded = self._trades.truth.traded(first, last)
            if gap.reason == "absent" and traded:
                return f"{len(traded)} of these were traded"
            held = [number for number in traded if self._trades.is_held(number)]
            return f"{len(held)} of these are held" if held else None
        assert gap.interval is not None
        oracle = self._klines[gap.interval]
        first, last = (int(datetime.fromisoformat(str(text)).timestamp() * 1000) for text in (gap.first, gap.last))
        held = [ms for ms in range(first, last + 1, STEPS_MS[gap.interval]) if ms in oracle.held]
        return f"{len(held)} of these are held" if held else None
