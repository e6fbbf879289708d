"""The tree of errors. A class stands for what the catcher does, its message is the operator's sentence.

CollectorError
├── Misconfigured      stop at start, exit code 78
│   ├── SuiteRefused         ... or, while running, keep the suite that is in force
│   └── RowsRefused          ... or leave this series as it is, tell it, go on with the others
├── Unavailable        give up waiting, exit code 69
├── Transient          try again after a back-off
│   ├── VenueUnreachable     ... the exchange
│   └── SinkUnavailable      ... the store
├── VenueRefused       stop this subscription, go on with the others
├── NotPublished       take the smaller bulk files instead, or ask REST
├── BadFile            take nothing of this bulk file, name it, go on with the others
└── BadFrame           skip the frame, keep it in quarantine with the reason
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Literal


class CollectorError(Exception):
    """Anything we raise on purpose."""

    exit_code = 70


class Misconfigured(CollectorError):
    """The settings or the surroundings cannot work; every fault is named with its cure."""

    exit_code = 78


class SuiteRefused(Misconfigured):
    """A validation suite that cannot be taken as it is; every faulty rule is named with the reason."""

    def __init__(self, origin: str, faults: Sequence[str]) -> None:
        super().__init__("\n".join([f"{origin} is refused:", *(f"  - {fault}" for fault in faults)]))
        self.origin = origin
        self.faults = tuple(faults)


class RowsRefused(Misconfigured):
    """A database will not hold rows as they are, or not even the name of their series; others it may hold."""


class TablesMissing(Misconfigured):
    """A database without our tables: the history writer makes them when it begins."""


class Unavailable(CollectorError):
    """Something that the service cannot do without did not come in time."""

    exit_code = 69


class Transient(CollectorError):
    """It may work when tried again; `retry_after_s` is what the other side asked for, if it did."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VenueUnreachable(Transient):
    """The exchange did not answer, or answered that it cannot serve now."""


class SinkUnavailable(Transient):
    """The store did not take the batch; nothing of it may be assumed stored or not stored."""


class VenueRefused(CollectorError):
    """The exchange understood the request and will not serve it, now or later.

    `endpoint_wide` when it serves no other request of that kind either.
    """

    def __init__(self, message: str, *, endpoint_wide: bool = False) -> None:
        super().__init__(message)
        self.endpoint_wide = endpoint_wide


class NotPublished(CollectorError):
    """There is no bulk file of this symbol and time, or not yet."""


BadFileReason = Literal[
    "checksum", "no_checksum", "web_page", "not_zip", "cut_short", "member", "symbol", "series", "too_large", "empty",
    "encoding", "columns", "number", "interval", "period", "order", "product", "unreadable",
]  # fmt: skip


class BadFile(CollectorError):
    """A bulk file that is not what the exchange documents; the message names the file and, where it can, the line."""

    def __init__(self, file: str, fault: str, *, reason: BadFileReason, line: int | None = None) -> None:
        place = file if line is None else f"{file}, line {line}"
        super().__init__(f"{place}: {fault}")
        self.file = file
        self.fault = fault
        self.reason = reason
        self.line = line


class OtherLife(CollectorError):
    """Trades that are of another life of their market than where they would be stored, or may be."""

    def __init__(self, symbol: str, first_id: int, last_id: int) -> None:
        super().__init__(
            f"Trade ids of {symbol} began anew, and from what the database holds it cannot be told in which epoch "
            f"trades {first_id} to {last_id} are: they were not stored"
        )


class BadFrame(CollectorError):
    """A frame that is not what the exchange documents; `reason` is from a closed set, for metrics."""

    def __init__(self, message: str, *, reason: str, symbol: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.symbol = symbol


def without_service(missing: ImportError) -> Misconfigured:
    """What to say where Python is too old, or the light wheel is installed alone; raises again what is a bug."""
    major, minor = sys.version_info[:2]
    if (major, minor) < (3, 11):
        return Misconfigured(
            f"This is Python {major}.{minor}, and the service needs 3.11, 3.12, 3.13 or 3.14: start it with one of"
            " them, or by `make run` in a clone, which finds it."
        )
    if not isinstance(missing, ModuleNotFoundError):
        raise missing
    package = (missing.name or "data_collector").partition(".")[0]
    if package == "data_collector":
        raise missing
    return Misconfigured(
        f"The service needs {package}, which is not installed: pip install 'btc-data-collector[service]'"
        " brings all that it needs (in a clone: `make run`, or pip install -r requirements.txt in an environment of"
        " yours)."
    )


def expected_of(group: BaseExceptionGroup[BaseException]) -> CollectorError | None:
    """The first error of a group that holds ours alone; None when a bug is in it, too."""
    ours, others = group.split(CollectorError)
    if ours is None or others is not None:
        return None
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CollectorError), "the group was split by type"
    return error
