"""What every route is given: the parts of the HTTP process, and the collector's state now."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Depends, HTTPException, Request
from msgspec import UNSET, Struct, UnsetType, structs

from data_collector.api.alerting import Alerting
from data_collector.api.collector import Collector
from data_collector.api.collectors import Collectors
from data_collector.api.completeness.former_entries import FormerEntries
from data_collector.api.completeness.gap_answers import Mark
from data_collector.api.completeness.kline_counting import KlineCounting
from data_collector.api.live.feed import LiveFeed, Places
from data_collector.api.memory import MarketMemory
from data_collector.api.series.reading import SeriesReading
from data_collector.api.series.streamed import Streams
from data_collector.api.store_reading import StoreReading
from data_collector.model.errors import SinkUnavailable
from data_collector.model.keys import UNKNOWN
from data_collector.model.status import Condition, Sample, Snapshot
from data_collector.observe.exposition import Page, page_of, page_of_several
from data_collector.observe.output import dropped_lines, dropped_reasons
from data_collector.settings import Settings
from data_collector.web.answers import Rejections, masked
from data_collector.web.guard import WritePolicy


class ApiContext(Struct, frozen=True):
    """What the routes work with, of one exchange."""

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
    klines: KlineCounting
    """For `/completeness`."""
    live: LiveFeed
    """Runs while the application does."""
    memory: MarketMemory
    """As well, and does nothing without MEMORY=1."""


class Contexts(Struct, frozen=True):
    """Of every exchange that is collected; `create_app` puts them into the application's state."""

    of: dict[str, ApiContext]
    """In the order of `EXCHANGES`."""
    collectors: Collectors | None
    """Where there are several."""
    places: Places
    """For those who look on, at whatever exchange."""
    alerts: Alerting
    """Runs while the application does, as `live` and `memory` of each."""

    @property
    def first(self) -> ApiContext:
        """What is meant where no exchange is named."""
        return next(iter(self.of.values()))

    def named(self, exchange: str | None) -> ApiContext:
        """Raises `HTTPException` for an exchange that is none of several."""
        if exchange is None or self.collectors is None:
            return self.first
        found = self.of.get(exchange.casefold())
        if found is None:
            sentence = f"{exchange} is not collected here; these are: {', '.join(self.of)}."
            raise HTTPException(404, sentence, {"X-Exchange": ", ".join(self.of)})
        return found


def contexts_of(request: Request) -> Contexts:
    """For `Depends`."""
    contexts: Contexts = request.app.state.contexts
    return contexts


_PREFIX: Final = re.compile(r"\w+(?=:)")


def exchange_named(request: Request) -> str | None:
    """By `exchange=`, or by the name and a colon before a symbol; None where the request names none.

    Raises `HTTPException` where it names two.
    """
    contexts, given = contexts_of(request), request.query_params
    named = [text.casefold() for text in given.getlist("exchange")]
    for text in (*map(str, request.path_params.values()), *given.getlist("symbol")):
        prefix = _PREFIX.match(unquote(text))
        # Of one alone, another one is refused where the symbol is read.
        if prefix is not None and (contexts.collectors is not None or prefix[0].casefold() in contexts.of):
            named.append(prefix[0].casefold())
    if len(set(named)) > 1:
        raise HTTPException(422, f"The request names {' and '.join(dict.fromkeys(named))}: name one exchange.")
    return named[0] if named else None


def context_of(request: Request) -> ApiContext:
    """For `Depends`: of the exchange that the request names, else of the first."""
    return contexts_of(request).named(exchange_named(request))


async def snapshot_of(request: Request) -> Snapshot:
    """For `Depends`: the collector's state now, and what this process lacks."""
    context = context_of(request)
    snapshot = await context.collector.status()
    demand_exchange(snapshot, exchange_named(request))
    own = own_reasons(context.series, context.memory)
    return with_reasons(snapshot, [*own, *contexts_of(request).alerts.reasons, *dropped()])


async def whole_of(request: Request) -> Snapshot:
    """For `Depends`: the same of all collectors as one, unless the request names an exchange."""
    contexts = contexts_of(request)
    if contexts.collectors is None or exchange_named(request) is not None:
        return await snapshot_of(request)
    reasons = [*reasons_of(contexts), *contexts.alerts.reasons, *dropped()]
    return with_reasons(await contexts.collectors.joined(), reasons)


class Part(Struct, frozen=True):
    """What is asked about, of one exchange."""

    context: ApiContext
    snapshot: Snapshot
    mark: Mark = Mark()


async def parts_of(request: Request) -> list[Part]:
    """For `Depends`: of the exchange that is named, of the first where a symbol alone is, else of all."""
    contexts = contexts_of(request)
    is_of_one = contexts.collectors is None or request.query_params.get("symbol", UNKNOWN) != UNKNOWN
    if is_of_one or exchange_named(request) is not None:
        return [Part(context_of(request), await snapshot_of(request))]
    snapshots = await asyncio.gather(*(each.collector.status() for each in contexts.of.values()))
    return [
        Part(each, state, Mark(name, state.key_prefix))
        for (name, each), state in zip(contexts.of.items(), snapshots, strict=True)
    ]


def asked_of(request: Request) -> list[ApiContext]:
    """For `Depends`: of the exchange that the request names, else of all."""
    named = exchange_named(request)
    return list(contexts_of(request).of.values()) if named is None else [context_of(request)]


async def metrics_page(contexts: Contexts, snapshot: Snapshot, asked: Sequence[ApiContext]) -> Page:
    """All metrics of these; `snapshot` is of one, or of all as one."""
    lines = Sample("data_collector_api_output_lines_dropped_total", dropped_lines())
    ours = [*asked[0].rejections.samples(), lines, *contexts.alerts.samples()]
    if len(asked) == 1:
        return page_of(snapshot, [*ours, *asked[0].live.samples(), *asked[0].memory.samples()])
    pages = {
        each.settings.exchange: (await each.collector.status(), [*each.live.samples(), *each.memory.samples()])
        for each in asked
    }
    return page_of_several(snapshot, pages, ours)


async def meant(request: Request, exchange: str | None) -> tuple[ApiContext, Snapshot]:
    """Of the exchange that a body names, else of the one that the request does. Raises `HTTPException` for others."""
    named = exchange_named(request)
    if exchange is not None and named not in (None, exchange.casefold()):
        raise HTTPException(422, f"The request names {named} and {exchange.casefold()}: name one exchange.")
    wanted = named if exchange is None else exchange.casefold()
    context = contexts_of(request).named(wanted)
    snapshot = await context.collector.status()
    demand_exchange(snapshot, wanted)
    return context, snapshot


def mark_of(request: Request, snapshot: Snapshot) -> str | UnsetType:
    """The exchange that an answer is about, where there are several."""
    return UNSET if contexts_of(request).collectors is None else snapshot.exchange or UNSET


def elsewhere(request: Request, snapshot: Snapshot, symbol: str) -> str:
    """A sentence for the end of one that says that a symbol is not collected; empty where no other exchange has it."""
    others = [each.collector.last for name, each in contexts_of(request).of.items() if name != snapshot.exchange]
    found = [f"{each.key_prefix or f'{each.exchange}:'}{symbol}" for each in others if symbol in each.symbols]
    return f" Another exchange has it: write {' or '.join(found)}." if found else ""


def own_reasons(series: SeriesReading, memory: MarketMemory) -> list[str]:
    """What the HTTP process lacks for an exchange."""
    reading = f"reading: /klines and /trades lack what PostgreSQL holds: {series.fault}"
    return [*([] if series.fault is None else [reading]), *memory.reasons]


def reasons_of(contexts: Contexts) -> list[str]:
    """The same of all, each with its name where there are several."""
    found = {name: own_reasons(each.series, each.memory) for name, each in contexts.of.items()}
    if contexts.collectors is None:
        return [why for reasons in found.values() for why in reasons]
    return [f"{name}: {why}" for name, reasons in found.items() for why in reasons]


def dropped() -> list[str]:
    """What of the HTTP process's log nobody reads, for `/health`."""
    return dropped_reasons("the HTTP process")


def with_reasons(snapshot: Snapshot, reasons: list[str]) -> Snapshot:
    """The snapshot with what the HTTP process has to tell beside it."""
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


def demand_here(request: Request, snapshot: Snapshot, text: str) -> str:
    """`symbol_of`. Raises `HTTPException`, too, for one that another exchange alone collects."""
    symbol = symbol_of(snapshot, text)
    hint = "" if symbol in snapshot.symbols else elsewhere(request, snapshot, symbol)
    if hint:
        raise HTTPException(404, f"{symbol} is not collected at {snapshot.exchange}.{hint}")
    return symbol


def demand_exchange(snapshot: Snapshot, exchange: str | None) -> None:
    """Raise `HTTPException` where a reader names another one than is collected."""
    if exchange is not None and snapshot.exchange not in (None, exchange):
        headers = {"X-Exchange": snapshot.exchange or ""}
        raise HTTPException(404, f"{snapshot.exchange} is collected here, and not {exchange}.", headers)


SYMBOL_PATTERN = r"^[^\s\x00-\x1f{}]+$"

Context = Annotated[ApiContext, Depends(context_of)]
Now = Annotated[Snapshot, Depends(snapshot_of)]
Whole = Annotated[Snapshot, Depends(whole_of)]
"""Of several collectors as one."""
Parts = Annotated[list[Part], Depends(parts_of)]
Asked = Annotated[list[ApiContext], Depends(asked_of)]
