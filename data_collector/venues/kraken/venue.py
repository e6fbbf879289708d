"""Kraken spot, as the pipeline sees it."""

from __future__ import annotations

from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import CHANNELS
from data_collector.model.venue import Addresses, Cost, Reach, StreamLimits, Venue, opened_later
from data_collector.venues.kraken.codec import KrakenCodec

PAUSE_S = 1.05
"""One call a second is allowed to an address; two that were sent so may arrive a little closer."""

LIMITS = StreamLimits(
    # Neither of the first two is documented.
    streams_per_connection=300, control_messages_per_s=4, connection_attempts=140, connection_attempts_window_s=600.0,
    # A heartbeat comes every second; no age is documented.
    ping_interval_s=10.0, max_age_s=86_400.0, keepalive_s=30.0,
)  # fmt: skip

VENUE = Venue(
    name="kraken",
    key_prefix="kraken:",
    addresses=Addresses(ws_url="wss://ws.kraken.com", rest_url="https://api.kraken.com"),
    default_symbols=("BTC/USD", "ETH/USD"),
    # Its weeks open on Thursdays, and ours on Mondays.
    intervals=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
    channels=tuple(CHANNELS),
    limits=LIMITS,
    stream_path="/v2",
    codec=KrakenCodec(),
    calendar=UtcCalendar(),
    read_symbol=lambda text: text.upper() if "/" in text else None,
    open_rest=opened_later(f"{__package__}.rest:KrakenRest"),
    klines="built",
    reach=Reach(klines_per_answer=720, klines_kept=720),
    # Listing is the symbols, the clock and the statistics; half of a call a second is for what is not urgent.
    cost=Cost(listing=lambda symbols: 3, head=1, seconds_per_call=2 * PAUSE_S),
)
