"""Reading what the collector holds: history, live and replay as one series that tells what it lacks."""

from data_collector.client.async_client import AsyncClient
from data_collector.client.async_history import AsyncRecords
from data_collector.client.async_live import AsyncLive
from data_collector.client.client import Client
from data_collector.client.errors import (
    ApiAway,
    Away,
    ClientError,
    DatabaseAway,
    GapFound,
    NotInstalled,
    SilentSeries,
    StoreAway,
    TooLarge,
    UnknownSeries,
    UnknownSymbol,
    WrongQuestion,
    WrongStore,
)
from data_collector.client.history import Records
from data_collector.client.live import Live
from data_collector.client.reading.streams import Batch
from data_collector.client.records import Epoch, Gap, Item, Kline, Latest, Revision, Trade
from data_collector.client.table import Table

__all__ = [
    "ApiAway",
    "AsyncClient",
    "AsyncLive",
    "AsyncRecords",
    "Away",
    "Batch",
    "Client",
    "ClientError",
    "DatabaseAway",
    "Epoch",
    "Gap",
    "GapFound",
    "Item",
    "Kline",
    "Latest",
    "Live",
    "NotInstalled",
    "Records",
    "Revision",
    "SilentSeries",
    "StoreAway",
    "Table",
    "TooLarge",
    "Trade",
    "UnknownSeries",
    "UnknownSymbol",
    "WrongQuestion",
    "WrongStore",
]
