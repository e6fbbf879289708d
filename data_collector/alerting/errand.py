"""Sending the courier: a message to receivers, within a time limit, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from data_collector.alerting.courier import Errand, Outcome, receiver_name
from data_collector.model.errors import Misconfigured
from data_collector.time_limit import time_limit

COMMAND: Final = (sys.executable, "-m", "data_collector.alerting.courier")

DELIVERY_S: Final = 30.0
"""A courier that takes longer is killed; what it had delivered by then is told twice."""

CHECK_S: Final = 20.0

CURE: Final = "docs/alerts.md shows how addresses are written; `data-collector alerts test` tries them."

ANSWER_BYTES_MAX: Final = 64 * 1024


async def send(errand: Errand, limit_s: float = DELIVERY_S) -> list[Outcome]:
    """One outcome of each receiver, in their order; never raises for what receivers or the courier do."""
    names = [receiver_name(at, url) for at, url in enumerate(errand.urls, 1)]
    try:
        courier = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        return [Outcome(name, f"no process can be started ({error.strerror})") for name in names]
    try:
        async with time_limit(limit_s):
            answer, _ = await courier.communicate(msgspec.json.encode(errand))
        return _named(names, msgspec.json.decode(answer[:ANSWER_BYTES_MAX], type=list[Outcome]))
    except TimeoutError:
        return [Outcome(name, f"it did not take the message within {limit_s:g} s") for name in names]
    except (OSError, msgspec.DecodeError, RecursionError):
        return [Outcome(name, f"the courier ended with exit code {courier.returncode}") for name in names]
    finally:
        if courier.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                courier.kill()
            await courier.wait()


def demand_receivers(urls: Sequence[str]) -> None:
    """Raise `Misconfigured` for addresses that the library cannot read. Sends nothing; blocks for about a second."""
    if not urls:
        return
    try:
        answer = subprocess.run(  # noqa: S603 - our own module
            COMMAND, input=msgspec.json.encode(Errand(list(urls))), capture_output=True, check=True, timeout=CHECK_S
        )
        outcomes = msgspec.json.decode(answer.stdout[:ANSWER_BYTES_MAX], type=list[Outcome])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError, RecursionError):
        # A machine that is slow is no wrong setting: the first message tells.
        return
    faults = [f"receiver {each.receiver}: {each.reason}" for each in outcomes if each.reason is not None]
    if faults:
        raise Misconfigured(f"ALERT_URLS: {'; '.join(faults)}. {CURE}")


def _named(names: Sequence[str], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """By our own numbers: an errand to one receiver alone counts it as the first."""
    return [Outcome(name, each.reason) for name, each in zip(names, outcomes, strict=False)]
