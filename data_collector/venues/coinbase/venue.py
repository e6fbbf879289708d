"""Coinbase Exchange, as the pipeline sees it."""

from __future__ import annotations

from data_collector.model.calendar import UtcCalendar
from data_collector.model.venue import Addresses, Cost, Reach, StreamLimits, Venue, opened_later
from data_collector.venues.coinbase.codec import CoinbaseCodec

PAUSE_S = 0.11
"""Ten calls a second are allowed to an address; two that were sent so may arrive a little closer."""

VENUE = Venue(
    name="coinbase",
    key_prefix="coinbase:",
    addresses=Addresses(ws_url="wss://ws-feed.exchange.coinbase.com", rest_url="https://api.exchange.coinbase.com"),
    default_symbols=("BTC-USD", "ETH-USD"),
    intervals=("1m", "5m", "15m", "1h", "6h", "1d"),
    channels=("kline", "trade", "ticker"),
    limits=StreamLimits(
        # Not documented.
        streams_per_connection=200,
        # Eight in a second, of all connections of an address together.
        control_messages_per_s=4,
        connection_attempts=60,
        connection_attempts_window_s=60.0,
        # A heartbeat of each product comes every second; no age is documented.
        ping_interval_s=10.0,
        max_age_s=86_400.0,
    ),
    stream_path="/",
    codec=CoinbaseCodec(),
    calendar=UtcCalendar(),
    read_symbol=lambda text: text.upper() if "-" in text and "/" not in text else None,
    open_rest=opened_later(f"{__package__}.rest:CoinbaseRest"),
    klines="built",
    reach=Reach(trades_per_answer=1000, klines_per_answer=300),
    # Listing is the symbols, the clock and the statistics of each; half of the calls are for what is not urgent.
    cost=Cost(newest_klines=2, listing=lambda symbols: 2 + symbols, head=1, seconds_per_call=2 * PAUSE_S),
)
