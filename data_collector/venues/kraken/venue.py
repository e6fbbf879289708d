"""Kraken spot, as the pipeline sees it."""

from __future__ import annotations

from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import CHANNELS
from data_collector.model.venue import Addresses, Cost, Reach, StreamLimits, Venue
from data_collector.venues.kraken.codec import KrakenCodec
from data_collector.venues.kraken.rest import HINT_451, PAUSE_S, KrakenRest

VENUE = Venue(
    name="kraken",
    key_prefix="kraken:",
    addresses=Addresses(ws_url="wss://ws.kraken.com", rest_url="https://api.kraken.com"),
    default_symbols=("BTC/USD", "ETH/USD"),
    intervals=("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"),
    channels=tuple(CHANNELS),
    limits=StreamLimits(
        # Neither of the first two is documented.
        streams_per_connection=300,
        control_messages_per_s=4,
        connection_attempts=140,
        connection_attempts_window_s=600.0,
        # A heartbeat comes every second; no age is documented.
        ping_interval_s=10.0,
        max_age_s=86_400.0,
        keepalive_s=30.0,
    ),
    stream_path="/v2",
    codec=KrakenCodec(),
    calendar=UtcCalendar(),
    open_rest=KrakenRest,
    hint_451=HINT_451,
    klines="built",
    reach=Reach(trades_per_answer=1000, klines_per_answer=720, klines_kept=720),
    # The symbol list, the clock and the statistics; what is not urgent goes every second time.
    cost=Cost(head=1, listing=lambda symbols: 3, seconds_per_call=2 * PAUSE_S),
)
