"""What one receiver is still to be told. Pure: who sends asks it what is due, and says what became of it.

Nothing leaves it untold: what the hourly bound holds back and what the receiver did not take waits, one line of each
alert, and is told by the next message with its count. Its size is bounded by the number of alerts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct, structs

from data_collector.alerting.judge import Change, Firing
from data_collector.alerting.rules import Severity

GROUP_S: Final = 15.0
"""What begins or ends so shortly after another is one message with it."""

HOUR_S: Final = 3600.0

RETRY_FIRST_S: Final = 15.0
RETRY_LONGEST_S: Final = 900.0

WAITING_MAX: Final = 500
LINES_MAX: Final = 20
"""Of a message: some receivers take 2,000 characters and no more. Further alerts are counted in it."""

LINE_CHARACTERS_MAX: Final = 300


class Waiting(Struct):
    """What is untold of one alert: its newest state, and how often it has begun and ended since."""

    alert: str
    severity: Severity
    summary: str
    since_s: float
    changed_s: float
    """When the first untold change was."""
    ended_s: float | None = None
    began: bool = False
    """Its beginning is untold, too."""
    times: int = 0
    """Changes in all."""


class KeptOutbox(Struct):
    """For the file that outlives the process."""

    waiting: dict[str, Waiting] = {}
    sent_s: list[float] = []
    held_back: int = 0


class Message(Struct, frozen=True):
    """For one receiver. `keys` is what it tells."""

    title: str
    body: str
    severity: Severity | Literal["ended", "test"]
    keys: tuple[str, ...] = ()


class Outbox:
    """Of one receiver; one message is under way at a time."""

    def __init__(self, hourly_max: int, kept: KeptOutbox | None = None) -> None:
        kept = kept or KeptOutbox()
        self._hourly_max = hourly_max
        self._waiting = kept.waiting
        self._sent_s = kept.sent_s[-hourly_max:]
        self._held_back = kept.held_back
        """Messages that were due and that the bound let wait."""
        self._left_out = 0
        """Changes for which there was no room; told with their number."""
        self._is_held = False
        self._failures = 0
        self._retry_s = 0.0
        self.failing_since_s: float | None = None
        self.reason: str | None = None
        """Why the receiver took nothing the last time; None when it did."""

    @property
    def waiting(self) -> int:
        """Alerts of which something is untold."""
        return len(self._waiting)

    @property
    def is_held(self) -> bool:
        """Whether the hourly bound lets something wait now."""
        return self._is_held

    def kept(self) -> KeptOutbox:
        """For the next process."""
        return KeptOutbox(self._waiting, self._sent_s, self._held_back)

    def put(self, changes: Iterable[Change]) -> None:
        """Let these be told."""
        for change in changes:
            firing = change.firing
            before = self._waiting.pop(firing.key, None)
            if before is None and len(self._waiting) >= WAITING_MAX:
                self._left_out += 1
                continue
            now = before or Waiting(firing.alert, firing.severity, firing.summary, firing.since_s, change.at_s)
            self._waiting[firing.key] = structs.replace(
                now, summary=firing.summary, since_s=firing.since_s, ended_s=change.at_s if change.ended else None,
                began=now.began or not change.ended, times=now.times + 1,
            )  # fmt: skip

    def tell_all(self, firing: Iterable[Firing], now_s: float) -> None:
        """To a receiver that was never told anything."""
        self.put(Change(each, now_s, ended=False) for each in firing)

    def due(self, now_s: float, place: str, runbook: str) -> Message | None:
        """What is to be sent now; None while there is nothing, or while it has to wait."""
        first_s = min((each.changed_s for each in self._waiting.values()), default=None)
        if first_s is None or abs(now_s - first_s) < GROUP_S or now_s < self._retry_s:
            return None
        self._sent_s = [each for each in self._sent_s if now_s - HOUR_S < each <= now_s]
        if len(self._sent_s) >= self._hourly_max:
            self._held_back += not self._is_held
            self._is_held = True
            return None
        return self._message(place, runbook)

    def all_at_once(self, place: str, runbook: str) -> Message | None:
        """What is untold, now, whatever the bound says: there is no later. None where there is nothing."""
        return self._message(place, runbook) if self._waiting else None

    def delivered(self, message: Message, now_s: float) -> None:
        """It has arrived."""
        for key in message.keys:
            self._waiting.pop(key, None)
        self._sent_s.append(now_s)
        self._failures = self._held_back = self._left_out = 0
        self._is_held = False
        self._retry_s = 0.0
        self.failing_since_s = self.reason = None

    def failed(self, reason: str, now_s: float) -> None:
        """It has not: it is tried again, later and later, with what has come meanwhile."""
        self.reason = reason
        self.failing_since_s = now_s if self.failing_since_s is None else self.failing_since_s
        self._retry_s = now_s + min(RETRY_FIRST_S * 2 ** min(self._failures, 20), RETRY_LONGEST_S)
        self._failures += 1

    def _message(self, place: str, runbook: str) -> Message:
        order = sorted(
            self._waiting.items(), key=lambda each: (each[1].ended_s is not None, each[1].severity, each[1].changed_s)
        )
        began = [each for _, each in order if each.ended_s is None]
        ended = len(order) - len(began)
        counts = [f"{len(began)} begun"] * bool(began) + [f"{ended} ended"] * bool(ended)
        lines = [_line(each, runbook) for _, each in order[:LINES_MAX]]
        if len(order) > LINES_MAX:
            lines.append(f"And {len(order) - LINES_MAX} more, which /metrics/prometheus and /health tell.")
        if self._held_back:
            changes = sum(each.times for _, each in order)
            lines.append(f"{changes} changes were held back, because ALERT_HOURLY_MAX is {self._hourly_max}.")
        if self._left_out:
            lines.append(f"{self._left_out} further changes had no room here; /health tells how it is now.")
        if self.failing_since_s is not None:
            lines.append(f"Delivery has failed since {_clock(self.failing_since_s)}.")
        title = f"Data Collector {place}: {', '.join(counts)}"
        worst: Severity | Literal["ended"] = "ended" if not began else began[0].severity
        return Message(title, "\n\n".join(lines), worst, tuple(key for key, _ in order))


def _line(each: Waiting, runbook: str) -> str:
    summary = each.summary[:LINE_CHARACTERS_MAX]
    link = f"{runbook}#{each.alert.lower()}"
    again = f" ({each.times} changes)" if each.times > 2 else ""
    if each.ended_s is None:
        return f"BEGUN {each.severity} {each.alert}: {summary}\nSince {_clock(each.since_s)}{again}. {link}"
    begun = "BEGUN AND ENDED" if each.began else "ENDED"
    # When it is seen to be over: after a restart that takes two minutes.
    times = f"Over, as seen at {_clock(each.ended_s)}; it began at {_clock(each.since_s)}{again}."
    return f"{begun} {each.alert}: no longer so: {summary}\n{times} {link}"


def _clock(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
