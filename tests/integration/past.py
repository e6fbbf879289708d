"""An exchange with a past, a database, and the backfill as users run it."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct, field, structs

from data_collector.cli.history.backfill import BackfillOptions, filled
from data_collector.history.events import Ended, Event
from data_collector.history.retrying import Stopping
from data_collector.model.calendar import DAY_MS
from data_collector.settings import load_settings
from data_collector.simulator import Simulator, SimulatorSettings
from data_collector.venues.binance.speaker import SPEAKER
from tests.integration.command import Finished, finished, running
from tests.integration.postgres_server import rows

START_MS = 1_767_225_600_000
"""2026-01-01: a driven market has a clock of its own."""

PAST = SimulatorSettings(
    driven=True, start_ms=START_MS, symbols=("BTCUSDT", "ETHUSDT"), history_ms=3 * DAY_MS, history_trades=6_000
)
"""Three days of candles, most of them without a trade."""


class Past(Struct):
    """What the tests of the past work with."""

    simulator: Simulator
    dsn: str
    folder: Path
    with_gx: bool = False
    """Whether Great Expectations audits what comes, whose process takes seconds to start."""
    events: list[Event] = field(default_factory=list)
    """What the last run in this event loop told."""

    async def backfill(self, *words: str, symbols: str = "BTCUSDT", intervals: str = "1m") -> Finished:
        """Run it to its end."""
        return await finished(self.folder, *self.words(*words, symbols=symbols, intervals=intervals), **self.variables)

    async def run(self, *words: str) -> Finished:
        """Any command."""
        return await finished(self.folder, *words, **self.variables)

    async def told(
        self,
        begin: str = "2025-12-30",
        end: str = "now",
        *,
        shown_on: Callable[[Event], None] | None = None,
        **wish: object,
    ) -> Ended:
        """The summary of a run inside this event loop."""
        self.events.clear()
        wanted = BackfillOptions("BTCUSDT", "1m", begin, end)
        settings = load_settings(self.variables, None)
        tell = self.events.append if shown_on is None else shown_on
        ended = await filled(settings, structs.replace(wanted, **wish), tell, Stopping())
        assert ended is not None, "nobody disagreed"
        return ended

    @staticmethod
    def words(*words: str, symbols: str = "BTCUSDT", intervals: str = "1m") -> tuple[str, ...]:
        begin = () if "--from" in words else ("--from", "2025-12-30")
        return ("backfill", "--symbols", symbols, "--intervals", intervals, *begin, *words)

    @property
    def variables(self) -> dict[str, str]:
        return {
            "BINANCE_REST_URL": self.simulator.rest_url,
            "BINANCE_WS_URL": self.simulator.ws_url,
            "DATABASE_URL": self.dsn,
            "VAR_DIR": str(self.folder),
            "SUITES_DIR": str(self.folder / "suites"),
            "GX_AUDIT": str(int(self.with_gx)),
        }

    async def broken_off(self, how: signal.Signals, *words: str, after_rows: int) -> tuple[int | None, str]:
        """Run it until so many rows are told to be stored, then end it; exit code and what it wrote."""
        async with running(self.folder, *self.words(*words, "--json"), **self.variables) as process:
            assert process.stdout is not None, "it is a pipe"
            async for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "progress" and event["done"] >= after_rows:
                    process.send_signal(how)
                    break
            output, errors = await process.communicate()
            return process.returncode, output.decode() + errors.decode()

    def requests(self) -> int:
        """How many the exchange has seen."""
        count = self.simulator.state()["rest_requests"]
        assert isinstance(count, int)
        return count

    def stored(self, symbol: str = "BTCUSDT", interval: str = "1m") -> list[int]:
        """Open times in the database, in ms."""
        query = f"""select (extract(epoch from "timestamp") * 1000)::bigint from market_data_ohlcv
            where symbol = '{symbol}' and interval = '{interval}' order by 1"""
        return [int(str(row[0])) for row in rows(self.dsn, query)]

    def gaps(self) -> list[tuple[object, ...]]:
        """What is recorded as missing."""
        return rows(self.dsn, "select channel, interval, first, last, count, reason from market_data_gaps order by 3")


@asynccontextmanager
async def past(folder: Path, dsn: str, settings: SimulatorSettings = PAST) -> AsyncIterator[Past]:
    """The exchange, in this event loop, for the length of the block."""
    simulator = Simulator(settings, [SPEAKER])
    await simulator.start()
    try:
        yield Past(simulator, dsn, folder)
    finally:
        await simulator.stop()
