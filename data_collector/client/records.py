"""What a reader gets, from the live streams, from history and from a replay alike.

Prices and quantities are `Decimal` with the exchange's own digits, times are aware datetimes in UTC. None is what the
exchange does not tell, and never zero.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from data_collector.model.calendar import UtcCalendar
from data_collector.model.records import Source

Origin = Source | Literal["filled"]
"""Where a record is from; `filled` was made by the reader where a candle is missing."""

Missing = Literal["absent", "refused", "skipped", "lost", "unknown"]
"""Why records are missing, as `gaps:` says; `unknown`: it says nothing, and history does not hold them either."""

Why = Literal["replayed", "recovered", "revision", "epoch_over"]

Aware = Annotated[datetime, Meta(tz=True)]
"""One without a zone is no time of ours."""

EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
CALENDAR = UtcCalendar()


class Kline(Struct, frozen=True, gc=False, tag="kline"):
    """The candle of one symbol and interval."""

    symbol: str
    timestamp: Aware
    """Open time."""
    interval: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    """In base currency."""
    trades: int | None
    is_closed: bool
    quote_volume: Decimal | None
    taker_buy_base_volume: Decimal | None
    taker_buy_quote_volume: Decimal | None
    source: Origin | None = "ws"
    """None where it is not known."""
    warnings: tuple[str, ...] = ()
    """Rules that it is marked with."""

    @property
    def close_time(self) -> datetime:
        """When the next one opens."""
        return time_of(CALENDAR.next_open_ms(self.interval, ms_of(self.timestamp)))


class Trade(Struct, frozen=True, gc=False, tag="trade"):
    """One match of one buyer with one seller; ids grow by one per symbol and epoch."""

    symbol: str
    timestamp: Aware
    trade_id: int
    price: Decimal
    quantity: Decimal
    buyer_order_id: int | None
    seller_order_id: int | None
    is_buyer_maker: bool | None
    """True when the taker sold."""
    source: Origin | None = "ws"
    """None where it is not known."""
    warnings: tuple[str, ...] = ()
    """Rules that it is marked with."""
    epoch: int = 0
    """In which its id is unique."""


class Gap(Struct, frozen=True, tag="gap"):
    """Records of one series that are missing for good. Stands before the first record after it."""

    symbol: str
    channel: Literal["trade", "kline"]
    interval: str | None
    first: int | datetime
    """Trade id, or open time; `last` is included."""
    last: int | datetime
    count: int
    reason: Missing
    rules: tuple[str, ...] = ()
    """That refused records broke."""
    epoch: int = 0
    """In which trade ids are unique."""

    @property
    def sentence(self) -> str:
        """For people."""
        what = "trades" if self.interval is None else f"{self.interval} klines"
        ends = [str(end) if isinstance(end, int) else end.isoformat() for end in (self.first, self.last)]
        return f"{self.count:,} {what} of {self.symbol} are missing ({self.reason}): {ends[0]} to {ends[1]}."


class Revision(Struct, frozen=True, tag="revision"):
    """A record that came, or was corrected, when its place in the stream was past."""

    record: Kline | Trade
    why: Why
    """`replayed` out of quarantine, `recovered` after a gap was declared, a `revision` of a closed kline, or a
    trade of an epoch that another collector had closed (`epoch_over`)."""


class Epoch(Struct, frozen=True, tag="epoch"):
    """A new life of a market begins: the exchange's trade ids have begun anew."""

    symbol: str
    epoch: int


Item = Kline | Trade | Gap | Revision | Epoch
"""Of a live stream or a replay. Revisions come where they are asked for."""


class Latest(Struct, frozen=True, kw_only=True):
    """The newest price and the statistics of the rolling 24 hours. None is what there is not."""

    symbol: str
    price: Decimal | None
    volume: Decimal | None
    """In base currency, of 24 hours."""
    timestamp: Aware | None
    """Of the price."""
    price_change: Decimal | None = None
    price_change_percent: Decimal | None = None
    weighted_avg_price: Decimal | None = None
    prev_close_price: Decimal | None = None
    last_price: Decimal | None = None
    last_qty: Decimal | None = None
    bid_price: Decimal | None = None
    bid_qty: Decimal | None = None
    ask_price: Decimal | None = None
    ask_qty: Decimal | None = None
    open_price: Decimal | None = None
    high_price: Decimal | None = None
    low_price: Decimal | None = None
    quote_volume: Decimal | None = None
    open_time: datetime | None = None
    """The window's ends."""
    close_time: datetime | None = None
    first_id: int | None = None
    last_id: int | None = None
    count: int | None = None
    """Trades of the window."""
    warnings: tuple[str, ...] = ()
    """Rules that the newest ticker broke."""


def ms_of(time: datetime) -> int:
    """Milliseconds since 1970."""
    return (time - EPOCH_START) // _MILLISECOND


def time_of(ms: int) -> datetime:
    """`ms_of` undone."""
    return EPOCH_START + timedelta(milliseconds=ms)
