"""Which table is asked for: the words of users, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

from data_collector.client.answering.store import StoreClient, check_store
from data_collector.client.errors import WrongQuestion
from data_collector.client.terms.series import EXCHANGE, symbol_of
from data_collector.client.terms.times import Time, now_ms, time_ms

Kind = Literal["stream", "trades", "gaps"]

_BEGINS: Final[Mapping[Time, Time]] = {"0": "earliest", "0-0": "earliest", "$": "now"}
"""As XREAD has them."""


class Asked(Struct, frozen=True):
    """What a table is made of."""

    store: str | StoreClient
    exchange: str
    kind: Kind
    symbol: str
    start: Time
    closed_only: bool
    revisions: bool
    api: str | None = None
    database: str | None = None
    """As the client has them."""


def asked_of(
    client: str | StoreClient, stream: str, start: Time, *, closed_only: bool, revisions: bool,
    api: str | None = None, database: str | None = None,
) -> Asked:  # fmt: skip
    """Raises `WrongQuestion`."""
    if not isinstance(client, str):
        check_store(client, is_async=False)
    head, _, symbol = stream.rpartition(":")
    exchange, _, told = head.rpartition(":")
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    if not symbol or told not in kinds:
        more = " What came late stands in the tables that are read with revisions=True." if told == "late" else ""
        raise WrongQuestion(
            f"stream={stream!r} is none that makes a table: write stream:BTCUSDT, trades:BTCUSDT or gaps:BTCUSDT, "
            f"with another exchange than {EXCHANGE} EXCHANGE:stream:SYMBOL.{more}"
        )
    kind = kinds[told]
    if closed_only and kind != "stream":
        raise WrongQuestion(f"closed_only=True is about candles, and {stream} holds none.")
    if revisions and kind == "gaps":
        raise WrongQuestion(f"revisions=True is about records, and {stream} holds none.")
    start = _BEGINS.get(start, start)
    if start not in ("earliest", "now"):
        time_ms("start", start, now_ms())
    if kind == "gaps" and start != "earliest":
        raise WrongQuestion(f"{stream} is read from its begin: leave start out.")
    return Asked(client, exchange or EXCHANGE, kind, symbol_of(symbol), start, closed_only, revisions, api, database)
