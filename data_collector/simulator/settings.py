"""What a simulated exchange can be told at start."""

from __future__ import annotations

import ssl
from typing import Literal

from msgspec import Struct

from data_collector.model.calendar import DAY_MS
from data_collector.simulator.listing import KNOWN

ErrorShape = Literal["nested", "flat"]
"""`nested` is what the wire shows: {"error":{"code":2,"msg":"…"},"id":1}; `flat` is what the documents show."""

TRADES_IN_ALL_MAX = 4_000_000
"""Bound of all tapes together: about 200 MB."""

HISTORY_TRADES_IN_ALL_MAX = 200_000
"""Bound of all histories together of which a number of trades was asked for: these are on the tapes."""

HISTORY_TRADES_MAX = 50_000_000
HISTORY_DAY_TRADES_IN_ALL_MAX = 20_000_000
"""Bounds of a symbol's history, and of a day of all: some 10,000,000 trades are made in a second, when asked for."""

KLINES_MAX = 5_000

TAPE_TRADES_MAX = 200_000

TAPE_TRADES_MIN = 2_000
"""No tape is shorter than two full REST pages."""


class SimulatorSettings(Struct, frozen=True, kw_only=True):
    """Every default is what the exchange does, or works on a laptop; None is the exchange's own."""

    seed: int = 1
    """Same seed, start time and other settings: the same market, trade for trade."""
    symbols: tuple[str, ...] = tuple(KNOWN)
    """What the market lists. Known names have a grid of prices as in reality, others one drawn from the seed."""
    trades_per_s: float = 5.0
    """Mean number of trades per symbol and second of market time; 0: only what is asked for by `burst`."""
    speed: float = 1.0
    """How many seconds of market time pass in a second."""
    driven: bool = False
    """The market's clock stands still and moves by `advance` only, for tests."""
    start_ms: int | None = None
    """Market time at start, UTC; None is now."""
    premium_bps: float = 0.0
    """The standard deviation of the difference, in basis points, by which each exchange's prices lie above or below the
    market's; it comes and goes within minutes. 0: all exchanges have the same prices, trade for trade."""
    delay_ms: int = 0
    """How much later than it happens the last exchange tells everything; those before it have shares of it, the first
    the least. The times that are told are the market's."""
    history_ms: int = DAY_MS
    """How long before the start the symbols were listed."""
    history_trades: int | None = None
    """About how many trades each symbol has from before the start; fewer when there are over 100 symbols. None is as
    many as it has from then on, and fewer where that is over 50,000,000, or over 20,000,000 a day for all symbols."""
    tape_trades_max: int | None = None
    """How many of its newest trades a symbol has, and REST has no older ones; fewer when there are over 20 symbols.
    None is all, as long as nobody intervenes: 200,000 are kept, and those before are made again."""
    klines_max: int | None = None
    """How many candles with trades a symbol has of each interval. None is all, in the same way: 5,000 are kept."""
    order_ids: bool = False
    """Tell the order ids of trades, where the exchange did so once."""
    early_every: int = 0
    """Each trade whose id is a multiple of this is told with a time before that of its predecessor; 0: none."""

    host: str = "127.0.0.1"
    ws_port: int = 0
    rest_port: int = 0
    """0 takes a free port; `Simulator.ws_url` and `rest_url` tell it."""
    tls: ssl.SSLContext | None = None
    """A server context: both ports then speak TLS."""

    ping_interval_s: float = 20.0
    pong_timeout_s: float = 60.0
    max_age_s: float = 86_400.0
    """A stream connection is closed when it is this old."""
    silence_s: float = 60.0
    """A connection whose client says nothing for so long is closed, by an exchange that wants to hear of it."""
    pulse_s: float = 1.0
    """How often an exchange gives a sign of life that does not ping, while there is nothing else to send."""
    enforce_limits: bool = True
    """False: nobody is refused or cut for asking too much; weights are still counted and told."""
    messages_per_s: int | None = None
    """Pings, pongs and texts of a connection in any second."""
    streams_per_connection: int = 1024
    connects_max: int | None = None
    connects_window_s: float | None = None
    """All clients together count as one address."""
    weight_per_minute: int = 6_000
    calls_per_s: float | None = None
    """Of REST, where the exchange weighs them all the same; None is its own rate."""
    error_shape: ErrorShape = "nested"
    api_key: str | None = None
    """Asked for where trades are read by their ids, as some exchanges do; None asks for none."""

    kline_period_ms: int = 2_000
    """How often a changed candle is sent; `1s` candles and tickers have one second."""
    closing_delay_ms: tuple[int, int] = (100, 2_000)
    """When the closing frame (`x:true`) comes: between these after the close, drawn per candle."""
    close_empty_klines: bool = False
    """Send the closing frame of candles without trades too; the default is silence, as recorded for quiet pairs."""
    write_buffer_bytes_max: int = 64 * 1024 * 1024
    """A client that leaves this much unread is cut off."""


def tape_limit(settings: SimulatorSettings) -> int:
    """How many trades each symbol keeps."""
    share = TRADES_IN_ALL_MAX // max(1, len(settings.symbols))
    wanted = TAPE_TRADES_MAX if settings.tape_trades_max is None else settings.tape_trades_max
    return min(wanted, max(share, TAPE_TRADES_MIN))


def history_rate(settings: SimulatorSettings) -> float:
    """About how many trades a second each symbol has from before the start."""
    seconds, symbols = settings.history_ms / 1000, max(1, len(settings.symbols))
    if settings.history_trades is not None:
        return min(settings.history_trades, HISTORY_TRADES_IN_ALL_MAX // symbols) / seconds
    day_s = DAY_MS / 1000
    return min(settings.trades_per_s, HISTORY_TRADES_MAX / seconds, HISTORY_DAY_TRADES_IN_ALL_MAX / day_s / symbols)
