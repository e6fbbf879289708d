"""Makes the certificate of a day: who was asked, what each side has, and whether the two are equal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import BinaryIO, Literal

from msgspec import Struct

from data_collector.model.errors import (
    BadFile,
    Misconfigured,
    NotPublished,
    Unavailable,
    VenueRefused,
    VenueUnreachable,
)
from data_collector.model.keys import Key, StoreKeys
from data_collector.model.published import BulkFiles, FetchedFile
from data_collector.model.records import Trade
from data_collector.model.venue import ExchangeApi
from data_collector.service.certificate.day_comparison import CANONICAL, Comparison, Difference, Side, compare, declare
from data_collector.service.certificate.day_trades import (
    Progress,
    declared_trades,
    newest_epoch,
    span_of,
    trades_of_file,
    trades_of_rest,
    trades_of_store,
)
from data_collector.sinks.redis.connection import StoreConnection


class Held(Struct, frozen=True):
    """Where the store's side lies."""

    connection: StoreConnection
    place: str
    """For people: no password in it."""
    keys: StoreKeys


class ExchangeSource(Struct, frozen=True):
    """Where the exchange's side comes from."""

    rest: ExchangeApi
    rest_url: str
    files: BulkFiles | None
    """None when REST is to be asked at once."""


class Certificate(Struct, kw_only=True):
    """What is written down."""

    symbol: str
    day: str
    """UTC."""
    verdict: Literal["equal", "different"]
    equal_within_held: bool
    """Whether the two agree from the store's first trade of the day to its last: a day of which less was collected."""
    made_at: str
    made_by: str
    source: Literal["file", "rest"]
    source_url: str
    archive_sha256: str | None
    store: str
    key: str
    canonical: str = CANONICAL
    exchange_side: Side
    store_side: Side
    missing: int
    missing_before_first: int
    missing_after_last: int
    unknown_to_exchange: int
    differing: int
    differences: list[Difference]
    differences_left_out: int


async def certify(
    held: Held, exchange: ExchangeSource, symbol: str, day: date, *,
    made_by: str, differences_max: int, progress: Progress,
) -> Certificate:  # fmt: skip
    """Compare a day that is over.

    Raises `Unavailable` when exchange or store cannot be asked, `Misconfigured` for a day or symbol that cannot be.
    """
    try:
        # By this machine's clock, too: of a day that one of the two has still running no certificate is made.
        if min(await exchange.rest.server_time_ms(), time.time() * 1000) < span_of(day).stop:
            raise Misconfigured(f"{day} (UTC) is not over yet; only a day that is over can be certified.")
        with tempfile.TemporaryFile() as archive:
            file, trades = await _theirs(exchange, symbol, day, archive, progress)
            found = await _compare(held, trades, symbol, day, differences_max)
    except (VenueUnreachable, BadFile) as error:
        raise Unavailable(f"The exchange's side cannot be read: {error}.") from error
    except VenueRefused as error:
        raise Misconfigured(f"The exchange refuses {symbol}: {error}.") from error
    return _certificate(held, exchange, file, symbol, day, found, made_by)


async def _theirs(
    exchange: ExchangeSource, symbol: str, day: date, archive: BinaryIO, progress: Progress
) -> tuple[FetchedFile | None, AsyncIterator[Trade]]:
    """The exchange's side; of REST while no file is published, and where REST is to be asked."""
    span = span_of(day)
    if exchange.files is not None:
        wanted = exchange.files.day_of(Key("trade", symbol), day)
        try:
            file = await exchange.files.fetch(wanted, archive)
        except NotPublished:
            pass
        else:
            return file, trades_of_file(exchange.files.trades_in(archive, wanted), span, progress)
    return None, trades_of_rest(exchange.rest, symbol, span, progress)


async def _compare(
    held: Held, theirs: AsyncIterator[Trade], symbol: str, day: date, differences_max: int
) -> Comparison:  # fmt: skip
    span = span_of(day)
    epoch = await newest_epoch(held.connection, held.keys.key("trades", symbol), symbol)
    ours = trades_of_store(held.connection, held.keys.key("trades", symbol), symbol, span, epoch=epoch)
    found = await compare(theirs, ours, differences_max=differences_max)
    if found.missing:
        declare(found, await declared_trades(held.connection, held.keys.key("gaps", symbol), symbol, epoch=epoch))
    return found


def _certificate(
    held: Held, exchange: ExchangeSource, file: FetchedFile | None, symbol: str, day: date, found: Comparison, by: str
) -> Certificate:
    return Certificate(
        symbol=symbol,
        day=day.isoformat(),
        verdict="equal" if found.is_equal else "different",
        equal_within_held=found.is_equal_within_held,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=by,
        source="rest" if file is None else "file",
        source_url=exchange.rest_url if file is None else file.place,
        archive_sha256=None if file is None else file.sha256,
        store=held.place,
        key=held.keys.key("trades", symbol),
        exchange_side=found.exchange,
        store_side=found.store,
        missing=found.missing,
        missing_before_first=found.missing_before_first,
        missing_after_last=found.missing_after_last,
        unknown_to_exchange=found.unknown_to_exchange,
        differing=found.differing,
        differences=found.differences,
        differences_left_out=found.differences_left_out,
    )
