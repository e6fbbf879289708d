"""Brings what the store threw away before it was written: `backfill` for just that stretch, as a process of its own.

It asks the exchange beside the collector, as where people start that command, and is nowhere on the way of the feed.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from pydantic import SecretStr

from data_collector.model.calendar import MINUTE_MS
from data_collector.model.grid import longest_ms
from data_collector.service.history_writer.messages import Lost
from data_collector.settings import Settings
from data_collector.settings.fields import variable_of

LOOK_S: Final = 1.0
RETRY_FIRST_S: Final = 60.0
RETRY_LONGEST_S: Final = 3600.0
GIVE_UP_S: Final = 120
"""Without any success, one try; the next one comes."""

NICENESS: Final = 10


class LossRepair:
    """One at a time, the oldest first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tried: dict[Lost, tuple[float, float]] = {}
        """When it is due again, and the pause after that."""
        self.brought: set[Lost] = set()
        """As the command says; of trades the writer looks for itself."""

    def told(self, lost: Lost) -> str:
        """A reason for `/health`."""
        what = f"{lost.count:,} trades of {lost.symbol} ({lost.first} to {lost.last})"
        return (
            f"history: the store trimmed {what if lost.count else f'candles of {lost.symbol}'} before they were "
            "written; until they have been brought from the exchange they may be in neither store; to do it now: "
            f"data-collector {shlex.join(words(lost, self._settings))}"
        )

    async def run(self, told: Callable[[], Sequence[Lost]], url: Callable[[], str | None]) -> None:
        """Until cancelled, for what is `told`, into the database at `url`."""
        while True:
            await asyncio.sleep(LOOK_S)
            lost, place, now_s = told(), url(), time.monotonic()
            self._tried = {each: when for each, when in self._tried.items() if each in lost}
            self.brought.intersection_update(lost)
            due = [each for each in lost if self._tried.get(each, (0.0, 0.0))[0] <= now_s and each not in self.brought]
            if not due or place is None:
                continue
            pause_s = self._tried.get(due[0], (0.0, RETRY_FIRST_S))[1]
            code = await self._backfilled(due[0], place)
            structlog.get_logger().info("history_loss_repaired", symbol=due[0].symbol, exit_code=code)
            if code == 0 and not due[0].count:
                self.brought.add(due[0])
            self._tried[due[0]] = time.monotonic() + pause_s, min(2 * pause_s, RETRY_LONGEST_S)

    async def _backfilled(self, lost: Lost, url: str) -> int | None:
        """Its exit code; None where it cannot be started."""
        command = (sys.executable, "-m", "data_collector", *words(lost, self._settings), "--yes", "--json")
        environment = {**os.environ, **variables_of(self._settings), "DATABASE_URL": url}
        root = str(Path(__file__).parents[3])
        environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        nothing = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *command, "--give-up-after", str(GIVE_UP_S), stdin=nothing, stdout=nothing, stderr=nothing,
                env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError:
            return None
        try:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            return await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def words(lost: Lost, settings: Settings) -> list[str]:
    """Of the command line that brings it. Candles are asked for by when they opened, and stored when they close."""
    reach_ms = 0 if lost.count else max(map(longest_ms, settings.intervals))
    begin, end = (_minute_text(ms) for ms in (max(0, lost.before_ms - reach_ms), lost.after_ms + MINUTE_MS))
    series = ["--intervals", "", "--trades"] if lost.count else ["--intervals", ",".join(settings.intervals)]
    return [
        "backfill",
        "--exchange",
        settings.exchange,
        "--symbols",
        lost.symbol,
        *series,
        "--from",
        begin,
        "--to",
        end,
    ]


def variables_of(settings: Settings) -> Mapping[str, str]:
    """What was set, as the environment has it."""
    return {variable_of(field, settings.exchange): _text(getattr(settings, field)) for field in settings.given}


def _text(value: object) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case tuple():
            return ",".join(map(str, value))
        case SecretStr():
            return value.get_secret_value()
        case None:
            return ""
        case _:
            return str(value)


def _minute_text(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M")
