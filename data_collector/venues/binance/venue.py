"""Binance spot, as the pipeline sees it."""

from __future__ import annotations

from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import CHANNELS
from data_collector.model.published import BulkFiles, PublishedFiles
from data_collector.model.venue import Addresses, Cost, StreamLimits, Venue, opened_later
from data_collector.venues.binance.bulk_names import FILES_URL
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.rest_budget import listing_weight

HINT_451 = (
    "Binance does not serve this place. From the United States set BINANCE_WS_URL=wss://stream.binance.us:9443 and "
    "BINANCE_REST_URL=https://api.binance.us; elsewhere wss://data-stream.binance.vision and "
    "https://data-api.binance.vision serve market data only"
)


def _open_bulk_files(place: str | None = None, *, use_proxy: bool = False) -> BulkFiles:
    # As `opened_later`.
    from data_collector.venues.binance.bulk_files import BinanceBulkFiles  # noqa: PLC0415

    return BinanceBulkFiles(place, use_proxy=use_proxy)


VENUE = Venue(
    name="binance",
    key_prefix="",
    addresses=Addresses(ws_url="wss://stream.binance.com:9443", rest_url="https://api.binance.com"),
    default_symbols=("BTCUSDT", "ETHUSDT", "BNBUSDT"),
    intervals=("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
    channels=tuple(CHANNELS),
    limits=StreamLimits(
        streams_per_connection=1024,
        control_messages_per_s=4,
        connection_attempts=300,
        connection_attempts_window_s=300.0,
        ping_interval_s=20.0,
        max_age_s=86_400.0,
    ),
    stream_path="/stream",
    codec=BinanceCodec(),
    calendar=UtcCalendar(),
    open_rest=opened_later(f"{__package__}.rest:BinanceRest"),
    hint_451=HINT_451,
    cost=Cost(trades=25, klines=2, newest_klines=3, listing=listing_weight),
    published=PublishedFiles(url=FILES_URL, hosts=("binance.com", "data-api.binance.vision"), open=_open_bulk_files),
)
