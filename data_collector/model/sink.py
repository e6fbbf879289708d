"""What a sink gets: everything that came since the last time, grouped by what is written together; and what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct, field

from data_collector.model.channels import NewestRecord
from data_collector.model.gaps import Gap
from data_collector.model.keys import Key
from data_collector.model.records import Kline, Origin, Sourced, Trade

RecordSource = Literal["ws", "rest", "built"]
"""Where a record came from: the stream, the exchange's REST side, or our trades and what their ids prove."""


def epoch_fields(epoch: int) -> tuple[str, ...]:
    """What an entry says beside its record: nothing in the first epoch."""
    return ("epoch", str(epoch)) if epoch else ()


TRADE_EPOCHS = """
with recursive epochs as (
  (select epoch from market_data_trades where exchange = $1 and symbol = $2 order by epoch limit 1)
  union all
  select (
    select following.epoch from market_data_trades as following
    where following.exchange = $1 and following.symbol = $2 and following.epoch > epochs.epoch
    order by following.epoch limit 1
  ) from epochs where epochs.epoch is not null
)
select epoch from epochs where epoch is not null
"""
"""Those that PostgreSQL has trades of. Not `distinct`, which would read all trades."""


class Refusal(Struct, frozen=True):
    """A record or frame that may not pass, as it goes to `quarantine:{symbol}`."""

    content: str
    """The record as JSON, or the raw frame, cut to a bounded length."""
    why: str
    """JSON list of {"rule", "message"}."""
    at: str
    """When it was refused, ISO-8601 UTC."""
    columns: str
    """JSON object: its kind, and what rules see beside the record's keys."""
    rules: tuple[str, ...]
    source: RecordSource = "ws"
    epoch: int = 0
    """Of a trade."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The entry's names and values in turn."""
        source = () if self.source == "ws" else ("src", self.source)
        words = ("data", self.content, "why", self.why, "at", self.at, "columns", self.columns)
        return words + source + epoch_fields(self.epoch)


def place_of(symbol: str, epoch: int) -> str:
    """Where the spool keeps a symbol's trades of one epoch; no symbol holds a line's end."""
    return f"{symbol}\n{epoch}" if epoch else symbol


def symbol_of(place: str) -> str:
    """`place_of` undone."""
    return place.partition("\n")[0]


def epoch_of(place: str) -> int:
    """`place_of` undone."""
    return int(place.partition("\n")[2] or 0)


class TradeRun(Struct):
    """Trades of one symbol whose ids rise by one; written by one server-side call or not at all."""

    symbol: str
    first_id: int
    entries: list[int | str]
    """Time in ms (then, after a blank, the rules that mark it, if any) and JSON of each trade, in turn.

    Empty when the run only passes over refused ids before it.
    """
    price: str
    """Of the newest trade, for `latest:`."""
    time_text: str
    oldest_ns: int
    """Receive time of the first trade, for the latency metric."""
    newest_ns: int
    """Receive time of the last."""
    refused: dict[int, Refusal] = field(default_factory=dict)
    """Refused trades since the run before, by id: what explains (part of) a hole before `first_id`."""
    gaps: list[Gap] = field(default_factory=list)
    """What lies between the record before and `first_id`, explained: adjoining, in order, up to `first_id` - 1."""
    begins: bool = False
    """Whether it may begin a stream, or an epoch, where there is none; else a store without one has lost it."""
    epoch: int = 0
    """Trade ids are unique within one (docs/decisions/0016-epochs.md)."""
    after_id: int = -1
    """Of a run that begins an epoch: the tail that the epoch before has in the store; -1 where it has none."""

    @property
    def place(self) -> str:
        """Where the spool keeps it."""
        return place_of(self.symbol, self.epoch)

    @property
    def start_id(self) -> int:
        """The id from which on the run says what was traded: that of its first gap, or of its first trade."""
        return self.gaps[0].first if self.gaps else self.first_id

    @property
    def count(self) -> int:
        """How many trades."""
        return len(self.entries) // 2


KlineCheck = Literal["ok", "mismatch", "unchecked"]
"""How a closed kline compared with our own trades of its time."""


class KlineUpdate(Struct):
    """One state of one kline; `next_open_ms` comes from the exchange's calendar."""

    kline: Kline
    next_open_ms: int
    warnings: tuple[str, ...] = ()
    """Rules that it is marked with."""
    source: RecordSource = "ws"
    check: KlineCheck = "unchecked"
    gaps: list[Gap] = field(default_factory=list)
    """What lies between the closed kline before and this one, explained: open times in ms, adjoining, in order."""
    begins: bool = False
    """Whether it may begin a series where there is none; else a store without one has lost it."""

    @property
    def origin(self) -> Origin:
        """Where it is from."""
        return Origin(self.source, self.warnings)


class NewestUpdate(Struct, frozen=True):
    """The newest record of a symbol and channel of which the newest counts."""

    record: NewestRecord
    warnings: tuple[str, ...] = ()
    """Rules that it is marked with."""


SideKind = Literal["quarantine", "late"]
"""Streams of what stands beside the records in order."""


class SideEntry(Struct):
    """An entry of `quarantine:{symbol}` or `late:{symbol}`, written once."""

    kind: SideKind
    symbol: str
    """Or `UNKNOWN`."""
    fields: tuple[str, ...]
    """Names and values in turn."""
    number: int
    """Grows by one per process, so that a resent entry is known."""


class Behind(Struct, frozen=True):
    """The store lacks what we took to be there: it lost the end of what it acknowledged, or all of it."""

    key: Key
    due: int | None
    """What the store must get next: a trade id, or an open time in ms. None when it has nothing at all."""
    epoch: int = 0
    """Of trades: the epoch that the store is in; its next id is `due`, None when it has nothing of ours at all."""
    blocked: bool = False
    """Somebody else's entry is in the way: nothing can be stored until an operator has removed it."""


class Batch(Struct):
    """One flush."""

    trades: list[TradeRun] = field(default_factory=list)
    klines: list[list[KlineUpdate]] = field(default_factory=list)
    """One list per symbol: the closed ones in order, then the newest open ones."""
    newest: list[NewestUpdate] = field(default_factory=list)
    side: list[SideEntry] = field(default_factory=list)
    """Numbers rise by one."""
    revisions: list[Sourced[Kline]] = field(default_factory=list)
    """Closed klines whose place in `stream:` is past; they replace the `kline:` key."""
    past: list[Sourced[Kline]] = field(default_factory=list)
    """Closed klines from before the beginning of their series, for `kline:` keys that do not exist."""

    def __bool__(self) -> bool:
        return bool(self.trades or self.klines or self.newest or self.side or self.revisions or self.past)


class TradeTail(Struct, frozen=True):
    """The trades that a store holds of a symbol."""

    first_id: int
    """Of the newest epoch; 0 where the stream begins with an older one."""
    last_id: int
    """Of the last one that was ever appended or passed over."""
    epoch: int = 0
    last_ms: int = 0
    """No trade that the store holds is newer."""
    stored_id: int = -1
    """Of the newest trade in the stream; -1 without one. What was passed over since is behind it."""

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and id: what comes later is larger."""
        return self.epoch, self.last_id


class RunningKlines(Struct, frozen=True):
    """What a store has of a symbol's running klines."""

    since_ms: int
    next_id: int
    """The first trade from then on has this id."""
    trades: list[Trade]
    """All from then on, in order."""
    parts: dict[str, list[Kline]]
    """Closed klines that a longer one is made of until then; of an interval that is left out some are not here."""


class EpochEnd(Struct, frozen=True):
    """What a store tells of a symbol's epoch that is over."""

    last_id: int | None
    """Its last trade in the stream; None where the stream has none of it (any more)."""
    next_epoch: int
    """The one that follows in the stream; without one the same."""
    next_ms: int | None
    """When the first trade happened that the stream has of it; None without one."""
    late_ids: frozenset[int]
    """Of its trades beside the stream."""


class Sink(Protocol):
    """Where batches go. Idempotent: the same batch written twice is stored once."""

    async def write(self, batch: Batch) -> list[Behind]:
        """Store all of it. Raises `SinkUnavailable`; the caller writes the same batch again later.

        Returns what could not be stored, because the store lacks what comes before it.
        """

    async def tails(self, symbols: Sequence[str]) -> dict[str, TradeTail | None]:
        """What the store has of each symbol; those that it has nothing of are left out. Raises `SinkUnavailable`.

        None where that cannot be told, because somebody else uses the key.
        """
