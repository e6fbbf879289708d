"""Alerts as one part of the HTTP process: the metrics are judged, and whoever is to know is told.

The process lives through the deaths of collectors. Its own end, where nobody wanted it, is told before it goes; what
ends it without a word (power, the kernel) only somebody outside can tell, as Prometheus does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from data_collector.alerting.courier import Errand, Outcome, receiver_name
from data_collector.alerting.errand import DELIVERY_S, send
from data_collector.alerting.judge import Judge, KeptJudge
from data_collector.alerting.outbox import KeptOutbox, Message, Outbox
from data_collector.alerting.rules import ALERTS
from data_collector.embedded.record import write_file
from data_collector.model.status import Sample
from data_collector.observe.logs import get_log
from data_collector.settings import Settings
from data_collector.venues.discovery import find_venue

Series: TypeAlias = Iterator[tuple[str, Mapping[str, str], float]]

EVERY_S: Final = 15.0
"""As Prometheus with our configuration."""

LAST_WORD_S: Final = 8.0
"""What may be told at the end; who waits for our end kills us after ten seconds."""

STATE_NAME: Final = "alerts.json"
STATE_BYTES_MAX: Final = 4 * 1024 * 1024

JOB: Final = "data-collector"

_DOWN: Final = next(alert for alert in ALERTS if alert.name == "CollectorDown")
_KINDS: Final[Mapping[str, str]] = {"critical": "failure", "warning": "warning", "ended": "success", "test": "info"}
"""By severity: what the library calls it."""

Counted = Literal["sent", "failed", "held"]
Sending: TypeAlias = Callable[[Errand, float], Awaitable[list[Outcome]]]


class _KeptState(Struct):
    """Of the file: what has begun, and what each receiver is still to be told, by a digest of its address."""

    judge: KeptJudge
    outboxes: dict[str, KeptOutbox]


class _Receiver:
    """One of `ALERT_URLS`."""

    def __init__(self, number: int, url: str, outbox: Outbox) -> None:
        self.name = receiver_name(number, url)
        self.url = url
        self.outbox = outbox
        self.delivery: asyncio.Task[None] | None = None


class Alerting:
    """`run` is kept up by the application. Nothing of it can disturb anything else."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time, sending: Sending = send) -> None:
        """`clock` is Unix time; `sending` gets an errand to one receiver and a limit in seconds."""
        self.series: Callable[[], Awaitable[Series]] | None = None
        """All metrics now; set before `run`."""
        self.port = settings.port
        """On which the service is found."""
        self._clock = clock
        self._send = sending
        self._writing = asyncio.Lock()
        self._runbook = settings.alert_runbook_url
        self._file = settings.var_dir / find_venue(settings.exchange).folder / STATE_NAME
        self._outcomes: Counter[Counted] = Counter()
        self._log = get_log()
        urls = settings.alert_addresses
        kept = self._read() if urls else None
        self._judge = Judge(kept=None if kept is None else kept.judge)
        self._receivers: list[_Receiver] = []
        for number, url in enumerate(urls, 1):
            known = None if kept is None else kept.outboxes.get(_digest(url))
            outbox = Outbox(settings.alert_hourly_max, known)
            if known is None:
                outbox.tell_all(self._judge.firing, clock())
            self._receivers.append(_Receiver(number, url, outbox))
        self._written = b""

    @property
    def place(self) -> str:
        """Where the service is, for people and as the label `instance`."""
        return f"{socket.gethostname()}:{self.port}"

    @property
    def reasons(self) -> list[str]:
        """For `/health`: receivers that do not take what they are to be told. No alert is about this."""
        return [
            f"alerts: receiver {each.name} of ALERT_URLS takes nothing, {each.outbox.waiting} alerts wait for it:"
            f" {each.outbox.reason}"
            for each in self._receivers
            if each.outbox.reason is not None
        ]

    def samples(self) -> list[Sample]:
        """For the metrics page; empty without receivers."""
        if not self._receivers:
            return []
        firing = Counter(each.severity for each in self._judge.firing)
        return [
            *(Sample("data_collector_alerts_firing", firing[each], {"severity": each}) for each in _SEVERITIES),
            *(
                Sample("data_collector_alert_messages_total", self._outcomes[each], {"outcome": each})
                for each in _OUTCOMES
            ),
        ]

    async def run(self) -> None:
        """Look again and again until cancelled; does nothing where nobody is to be told."""
        while self._receivers:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - nothing of it may disturb anything else
                self._log.exception("alerts_failed")
            # The same beat as that of Prometheus, whatever changes.
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Judge the metrics of now, and begin the deliveries that are due."""
        assert self.series is not None, "the application sets it"
        own = {"job": JOB, "instance": self.place}
        page = [(name, {**labels, **own}, value) for name, labels, value in await self.series()]
        now_s = self._clock()
        changes = self._judge.judge([*page, ("up", own, 1.0)], now_s)
        for change in changes:
            event = "alert_ended" if change.ended else "alert_begun"
            self._log.warning(event, alert=change.firing.alert, summary=change.firing.summary)
        for receiver in self._receivers:
            receiver.outbox.put(changes)
            if receiver.delivery is None or receiver.delivery.done():
                was_held = receiver.outbox.is_held
                message = receiver.outbox.due(now_s, self.place, self._runbook)
                self._outcomes["held"] += receiver.outbox.is_held and not was_held
                if message is not None:
                    receiver.delivery = asyncio.create_task(self._deliver(receiver, message), name="alert delivery")
        await self._write()

    async def close(self, ending: str | None) -> None:
        """Keep what is untold for the next process. `ending`: tell at once why the service ends by itself."""
        if not self._receivers:
            return
        for receiver in self._receivers:
            if receiver.delivery is not None:
                receiver.delivery.cancel()
                await asyncio.wait((receiver.delivery,))
        if ending is not None and all(each.alert != _DOWN.name for each in self._judge.firing):
            labels = (("instance", self.place), ("job", JOB))
            change = self._judge.begin(_DOWN, labels, self._clock(), f"{self.place} has ended: {ending}")
            for receiver in self._receivers:
                receiver.outbox.put([change])
            messages = [each.outbox.all_at_once(self.place, self._runbook) for each in self._receivers]
            pairs = zip(self._receivers, messages, strict=True)
            await asyncio.gather(*(self._deliver(to, each, LAST_WORD_S) for to, each in pairs if each is not None))
        await self._write()

    async def finish(self) -> None:
        """Wait for the deliveries that are under way."""
        tasks = [each.delivery for each in self._receivers if each.delivery is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _deliver(self, receiver: _Receiver, message: Message, limit_s: float = DELIVERY_S) -> None:
        errand = Errand([receiver.url], message.title, message.body, _KINDS[message.severity])
        was_failing = receiver.outbox.reason is not None
        (outcome,) = await self._send(errand, limit_s)
        if outcome.reason is None:
            receiver.outbox.delivered(message, self._clock())
            self._outcomes["sent"] += 1
            if was_failing:
                self._log.info("alert_receiver_recovered", receiver=receiver.name)
        else:
            receiver.outbox.failed(outcome.reason, self._clock())
            self._outcomes["failed"] += 1
            if not was_failing:
                self._log.error("alert_receiver_failing", receiver=receiver.name, reason=outcome.reason)
        # At once: a process that is killed before the next look must not tell it again.
        await self._write()

    def _read(self) -> _KeptState | None:
        try:
            with self._file.open("rb") as file:
                return msgspec.json.decode(file.read(STATE_BYTES_MAX), type=_KeptState)
        except (OSError, msgspec.MsgspecError, RecursionError):
            return None

    async def _write(self) -> None:
        """Where something has changed; a disk that takes nothing is told elsewhere."""
        async with self._writing:
            outboxes = {_digest(each.url): each.outbox.kept() for each in self._receivers}
            content = msgspec.json.encode(_KeptState(self._judge.kept(), outboxes))
            if content != self._written:
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(_replace, self._file, content)
                    self._written = content


def _replace(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, content)


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


_SEVERITIES: Final = ("critical", "warning")
_OUTCOMES: Final[tuple[Counted, ...]] = ("sent", "failed", "held")
