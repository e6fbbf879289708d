"""`python -m data_collector.alerting.courier`: hands one message to receivers, and ends.

A process of its own, because the library takes 0.4 s to load and waits for a receiver as long as it likes. What to do
comes as JSON on standard input, so that no address stands in a list of processes; what became of it goes as JSON to
standard output. `errand` is its other side.
"""

from __future__ import annotations

import logging
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

RECEIVERS_MAX: Final = 20
ERRAND_BYTES_MAX: Final = 256 * 1024
REASON_CHARACTERS_MAX: Final = 200

PIECE_CHARACTERS_MIN: Final = 3
"""Shorter parts of an address are no secrets."""


class Errand(Struct):
    """A message and where it goes. Without a body nothing is sent: the addresses are only read."""

    urls: list[str]
    title: str = ""
    body: str = ""
    kind: str = "info"


class Outcome(Struct):
    """Of one receiver. `reason` is None when it took the message, or when its address can be read."""

    receiver: str
    reason: str | None = None


def receiver_name(number: int, url: str) -> str:
    """What a receiver is called: its number in `ALERT_URLS`, from 1 on, and its kind. Of the rest nothing is shown,
    because of some kinds all of it is secret."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,19}(?=:)", url)
    return f"{number} ({'?' if scheme is None else scheme[0].lower()})"


def without_address(text: str, url: str) -> str:
    """The text without any part of the address."""
    rest = url.partition("://")[2]
    pieces = {piece for whole in (rest, unquote(rest)) for piece in (whole, *re.split(r"[^A-Za-z0-9_.-]+", whole))}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= PIECE_CHARACTERS_MIN:
            text = text.replace(piece, "***")
    return re.sub(r"(?<=://)\S+", "***", text)


def deliver(errand: Errand) -> list[Outcome]:
    """Of each receiver, in their order; all at the same time."""
    urls = errand.urls[:RECEIVERS_MAX]
    with ThreadPoolExecutor(max(1, len(urls))) as pool:
        return list(pool.map(lambda each: _deliver_to(errand, *each), enumerate(urls, 1)))


def _deliver_to(errand: Errand, number: int, url: str) -> Outcome:
    # Only where there is something to do with it.
    import apprise  # noqa: PLC0415

    name = receiver_name(number, url)
    try:
        receiver = apprise.Apprise.instantiate(url)
        if receiver is None:
            return Outcome(name, "the address is none that apprise can read")
        if not errand.body:
            return Outcome(name)
        kind = apprise.NotifyType(errand.kind)
        said = _Said()
        log = logging.getLogger("apprise")
        log.addHandler(said)
        taken = receiver.notify(errand.body, title=errand.title, notify_type=kind)
        log.removeHandler(said)
    except Exception as error:  # noqa: BLE001 - a plugin's bug is a failed delivery, and its text may hold the address
        return Outcome(name, f"its plugin failed ({type(error).__name__})")
    if taken:
        return Outcome(name)
    reason = without_address(" ".join(said.words) or "it did not take the message", url)
    return Outcome(name, " ".join(reason.split())[:REASON_CHARACTERS_MAX])


class _Said(logging.Handler):
    """What the library's log says by this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []
        self.addFilter(lambda record: record.thread == self._thread)
        self._thread = logging.LogRecord("", 0, "", 0, "", None, None).thread

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


def main() -> None:
    """Read, deliver, tell."""
    logging.getLogger("apprise").propagate = False
    logging.lastResort = None
    errand = msgspec.json.decode(sys.stdin.buffer.read(ERRAND_BYTES_MAX), type=Errand)
    try:
        outcomes = deliver(errand)
    except ImportError:
        missing = "the package apprise is not installed"
        outcomes = [Outcome(receiver_name(at, url), missing) for at, url in enumerate(errand.urls, 1)]
    sys.stdout.buffer.write(msgspec.json.encode(outcomes))


if __name__ == "__main__":
    main()
