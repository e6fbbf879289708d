"""What a reader's programme may catch. A class stands for what the catcher does, its message is a sentence.

ClientError
├── WrongQuestion      ask for something else: a time without a zone, an unknown interval, a policy that is none
│   ├── UnknownSymbol        ... of another symbol
│   ├── UnknownSeries        ... of another interval; of the symbol this is not collected
│   ├── WrongStore           ... of another store: this one is of another exchange, collector or market
│   └── TooLarge             ... in pages
├── NotInstalled       install the extra that the sentence names
├── Away               try again later; a live stream goes on where it was
│   ├── StoreAway
│   ├── ApiAway
│   └── DatabaseAway
└── GapFound           decide what to do about what is missing; `gap` tells it

`SilentSeries` is a warning: nothing is raised where a series may come yet.
"""

from __future__ import annotations

from data_collector.client.records import Gap
from data_collector.model.errors import CollectorError


class ClientError(CollectorError):
    """Anything that the client raises on purpose."""


class WrongQuestion(ClientError, ValueError):
    """What is asked for can never be answered."""


class UnknownSymbol(WrongQuestion):
    """Nothing is collected or stored of it."""

    def __init__(self, sentence: str, *, is_empty: bool = False) -> None:
        super().__init__(sentence)
        self.is_empty = is_empty
        """Whether the store has nothing at all, as before a collector's first record."""


class UnknownSeries(WrongQuestion):
    """The symbol is collected, but not in this interval, or not its trades; and nothing of it is stored."""


class WrongStore(WrongQuestion):
    """The store is of another exchange, in cluster mode, or is filled from elsewhere than what is read with it."""


class TooLarge(WrongQuestion):
    """More rows than fit into memory at once."""


class NotInstalled(ClientError, ImportError):
    """A library is not there; the sentence names the extra that brings it."""


class Away(ClientError):
    """Something does not answer now, and may later."""


class StoreAway(Away):
    """Redis cannot be read."""


class ApiAway(Away):
    """The collector's HTTP side cannot be asked, or lacks a store of its own."""


class DatabaseAway(Away):
    """PostgreSQL cannot be read."""


class SilentSeries(UserWarning):
    """Nothing of a series came while others of its symbol did: nobody seems to collect it."""


class GapFound(ClientError):
    """Records are missing, and the policy is to raise."""

    def __init__(self, gap: Gap) -> None:
        super().__init__(f"{gap.sentence}{_cure_of(gap)}")
        self.gap = gap


def _cure_of(gap: Gap) -> str:
    """Nobody has what is absent, and refused ones came."""
    if gap.reason in {"absent", "refused"}:
        return ""
    trades = " --trades" if gap.channel == "trade" else ""
    return f" `data-collector backfill --from …{trades}` brings into PostgreSQL what the exchange has of them."


def reason_of(error: Exception) -> str:
    """Why somebody is away, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
