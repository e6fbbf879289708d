"""Has klines made of trades handed on in time, and asks the exchange for what proves that none of their trades lacks.

Life cycle: the service makes one and runs it beside the repair of klines, where an exchange's streams close none. What
ended and is followed by no trade is proven by the newest trade id, which streams tell, or the REST side. It raises
nothing for an exchange that is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from data_collector.model.backoff import Backoff
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.grid import longest_ms
from data_collector.model.keys import Key
from data_collector.model.venue import ExchangeApi
from data_collector.pipeline.repair.exchange_clock import ClockKeeper
from data_collector.pipeline.sequence.built_klines import BuiltKlines
from data_collector.pipeline.sequence.intake import Intake

BEAT_S = 0.5
"""How often what is over is handed on; open klines every other time."""

SYMBOLS_PER_SLICE = 50
"""Between slices others run."""

PROOF_S = 2.0
"""A trade or a ticker normally comes so soon after the end of a kline; then the exchange is asked."""

ASK_S = 10.0
"""Between two rounds of questions: the repair of trades goes first."""

ANCHOR_AGAIN_S = 60.0
"""A symbol that was listed this week has no kline of a week."""

ASKED_MAX = 2
"""Symbols of one round; a question about the exchange's clock comes before."""


class KlineBuilding:
    """Two tasks."""

    def __init__(
        self, built: BuiltKlines, intake: Intake, rest: ExchangeApi, exchange_clock: ClockKeeper,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._built = built
        self._intake = intake
        self._rest = rest
        self._exchange_clock = exchange_clock
        self._clock = clock
        self._asked_s: dict[str, float] = {}
        """When it was asked about each symbol last."""
        self._backoff = Backoff()
        self._blocked_until_s = 0.0
        self._anchor_s: dict[Key, float] = {}
        """When a series may be asked about again."""
        self._beats = 0

    async def run(self) -> None:
        """Until cancelled: hand on."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.beat()

    async def beat(self) -> None:
        """Once."""
        now_ms = self._exchange_clock.now_ms()
        if not now_ms:
            return
        self._beats += 1
        for number, symbol in enumerate(list(self._built.builders)):
            if number % SYMBOLS_PER_SLICE == SYMBOLS_PER_SLICE - 1:
                await asyncio.sleep(0)
            self._built.beat(symbol, now_ms, with_open=self._beats % 2 == 0)

    async def run_proofs(self) -> None:
        """Until cancelled: ask."""
        while True:
            await asyncio.sleep(ASK_S)
            await self.ask()

    async def ask(self) -> None:
        """One round, if something waits for an answer."""
        now_ms = self._exchange_clock.now_ms()
        if not now_ms or self._clock() < self._blocked_until_s:
            return
        try:
            await self._ask_anchor(now_ms)
            await self._ask_heads(now_ms)
        except (VenueUnreachable, VenueRefused) as error:
            retry_after_s = error.retry_after_s if isinstance(error, VenueUnreachable) else None
            self._blocked_until_s = self._clock() + self._backoff.next_delay_s(retry_after_s=retry_after_s)
        else:
            self._backoff.reset()

    async def _ask_anchor(self, now_ms: int) -> None:
        """When weeks open, or `3d`, of one series at a time."""
        keys = [key for key in self._built.unanchored() if self._clock() >= self._anchor_s.get(key, 0.0)]
        if not keys:
            return
        symbol, interval = keys[0].symbol, keys[0].kline_interval
        self._anchor_s[keys[0]] = self._clock() + ANCHOR_AGAIN_S
        page = await self._rest.klines(symbol, interval, now_ms - 3 * longest_ms(interval), now_ms)
        if page.klines:
            self._built.anchor(keys[0], page.klines[-1].open_ms)

    async def _ask_heads(self, now_ms: int) -> None:
        awaited = self._built.awaited(now_ms - int(PROOF_S * 1000))
        # Who was asked about longest ago is next.
        asked = sorted(awaited, key=lambda each: self._asked_s.get(each, -1.0))[:ASKED_MAX]
        if not asked:
            return
        self._asked_s |= dict.fromkeys(asked, self._clock())
        self._intake.tally.note_rest(await self._rest.server_time_ms())
        time_ms = self._exchange_clock.now_ms()
        heads = await self._rest.heads(asked)
        if not heads:
            tickers = await self._rest.tickers(asked)
            heads = {ticker.symbol: ticker.last_id for ticker in tickers if ticker.last_id is not None}
        for symbol, trade_id in heads.items():
            if trade_id >= 0:
                self._intake.take_head(symbol, trade_id, time_ms)
