"""What a simulated exchange can be told to do at once.

As JSON: {"action": "burst", "symbol": "BTCUSDT", "trades": 1000}
"""

from __future__ import annotations

from msgspec import Struct

from data_collector.simulator.market.market import SymbolStatus


class Burst(Struct, tag_field="action", tag="burst", forbid_unknown_fields=True):
    """Make and send exactly so many trades of a symbol, as fast as the clients read them."""

    symbol: str
    trades: int


class Advance(Struct, tag_field="action", tag="advance", forbid_unknown_fields=True):
    """Let market time pass at once; everything due by then is sent."""

    milliseconds: int


class Pause(Struct, tag_field="action", tag="pause", forbid_unknown_fields=True):
    """Stop the market's clock: no trade, no frame, ids do not grow. Pings go on."""


class Resume(Struct, tag_field="action", tag="resume", forbid_unknown_fields=True):
    """Let the clock run on from where it stands."""


class SkipIds(Struct, tag_field="action", tag="skip_ids", forbid_unknown_fields=True):
    """Leave out the next trade ids for good: neither the streams nor REST will ever have them."""

    symbol: str
    count: int


class RestartIds(Struct, tag_field="action", tag="restart_ids", forbid_unknown_fields=True):
    """Let a symbol begin anew, as a reset of the testnet or a new listing does: its past is gone, from REST too, and
    the next trade has this id."""

    symbol: str
    first_id: int = 1


class SetStatus(Struct, tag_field="action", tag="set_status", forbid_unknown_fields=True):
    """Change a symbol's trading status. BREAK: nothing is traded or sent. CANCEL_ONLY: no klines are sent."""

    symbol: str
    status: SymbolStatus


class Shutdown(Struct, tag_field="action", tag="shutdown", forbid_unknown_fields=True):
    """Send serverShutdown on every connection; `close_after_s` then closes them."""

    unwrapped: bool = False
    """Also on combined connections in the raw form."""
    close_after_s: float | None = None


class Close(Struct, tag_field="action", tag="close", forbid_unknown_fields=True):
    """Close a connection (all of them when none is named) with a close frame."""

    code: int = 1000
    reason: str = ""
    connection: int | None = None


class Reset(Struct, tag_field="action", tag="reset", forbid_unknown_fields=True):
    """Cut a connection (or all) by TCP reset in the middle of a frame."""

    connection: int | None = None


class Stall(Struct, tag_field="action", tag="stall", forbid_unknown_fields=True):
    """Send no byte more on a connection (or all), pings included: for `seconds`, after which all of it comes at
    once, or for ever. New connections are not stalled."""

    connection: int | None = None
    seconds: float | None = None


class DropStream(Struct, tag_field="action", tag="drop_stream", forbid_unknown_fields=True):
    """End the subscription to a stream on a connection (or all) without telling."""

    stream: str
    connection: int | None = None


class PingFlood(Struct, tag_field="action", tag="ping_flood", forbid_unknown_fields=True):
    """Send many pings at once."""

    count: int = 1000
    connection: int | None = None


class Send(Struct, tag_field="action", tag="send", forbid_unknown_fields=True):
    """Send something of your own: `text` as a text frame, `raw` (base64) as bytes on the wire, frames or not."""

    text: str | None = None
    raw: bytes | None = None
    connection: int | None = None


Action = (
    Burst | Advance | Pause | Resume | SkipIds | RestartIds | SetStatus | Shutdown | Close | Reset | Stall
    | DropStream | PingFlood | Send
)  # fmt: skip
