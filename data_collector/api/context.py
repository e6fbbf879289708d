"""What every route is given: the parts of the HTTP process, and the collector's state now."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request
from msgspec import Struct, structs

from data_collector.api.collector import Collector
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.api.live.feed import LiveFeed
from data_collector.api.memory import MarketMemory
from data_collector.api.series.reading import SeriesReading
from data_collector.api.series.streamed import Streams
from data_collector.api.store_reading import StoreReading
from data_collector.model.errors import SinkUnavailable
from data_collector.model.status import Condition, Snapshot
from data_collector.settings import Settings
from data_collector.web.answers import Rejections, masked
from data_collector.web.guard import WritePolicy


class ApiContext(Struct, frozen=True):
    """What the routes work with; `create_app` puts it into the application's state."""

    settings: Settings
    collector: Collector
    store: StoreReading
    series: SeriesReading
    """Reads over `store`, and PostgreSQL."""
    streams: Streams
    """Its long answers."""
    rejections: Rejections
    policy: WritePolicy
    former: FormerEntries
    """Counted for `/completeness` and for `live`."""
    live: LiveFeed
    """Runs while the application does."""
    memory: MarketMemory
    """As well, and does nothing without MEMORY=1."""


def context_of(request: Request) -> ApiContext:
    """For `Depends`."""
    context: ApiContext = request.app.state.context
    return context


async def snapshot_of(request: Request) -> Snapshot:
    """For `Depends`: the collector's state now, and what this process lacks."""
    context = context_of(request)
    snapshot = await context.collector.status()
    reasons = context.memory.reasons
    if context.series.fault is not None:
        reasons.insert(0, f"reading: /klines and /trades lack what PostgreSQL holds: {context.series.fault}")
    if not reasons:
        return snapshot
    condition: Condition = "degraded" if snapshot.condition == "healthy" else snapshot.condition
    return structs.replace(snapshot, condition=condition, reasons=[*snapshot.reasons, *reasons])


def store_url_of(snapshot: Snapshot) -> str:
    """Where the store is. Raises `SinkUnavailable` until it is known."""
    if snapshot.store_url is None:
        raise SinkUnavailable("The store is not known yet; /health says what it waits for.")
    return snapshot.store_url


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isprintable() and masked(text) == text


def filled_from(snapshot: Snapshot) -> dict[str, str]:
    """For clients that hold the answer against a store. A name that no header holds whole is left out."""
    if not snapshot.source:
        return {}
    named = {"X-Exchange": snapshot.exchange or "", "X-Filled-From": snapshot.source}
    return {name: text for name, text in named.items() if text and _is_whole(text)}


def symbol_of(snapshot: Snapshot, text: str) -> str:
    """The symbol that a reader names, in any case; the exchange and a colon may stand before it.

    Raises `HTTPException` for one of another exchange.
    """
    exchange, colon, symbol = text.rpartition(":")
    if colon:
        demand_exchange(snapshot, exchange.casefold())
    return symbol.upper()


def demand_exchange(snapshot: Snapshot, exchange: str | None) -> None:
    """Raise `HTTPException` where a reader names another one than is collected."""
    if exchange is not None and snapshot.exchange not in (None, exchange):
        raise HTTPException(404, f"{snapshot.exchange} is collected here, and not {exchange}.")


SYMBOL_PATTERN = r"^[^\s\x00-\x1f{}]+$"

Context = Annotated[ApiContext, Depends(context_of)]
Now = Annotated[Snapshot, Depends(snapshot_of)]
