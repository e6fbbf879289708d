"""The certificate of a backup: what it holds, and the SHA-256 of every file. It is written last."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec
from msgspec import Struct, field, structs

from data_collector import __version__
from data_collector.model.errors import Misconfigured
from data_collector.sinks.postgres.migrate import migrations
from data_collector.sinks.postgres.table_copies import SeriesHeld, TableHeld
from data_collector.sinks.redis.copies.copying import SymbolHeld

NAME: Final = "certificate.json"

FORMAT: Final = 1
"""Of the folder. A later one is refused, an earlier one is read."""

BYTES_MAX = 256 * 1024 * 1024
"""A symbol takes some 1.5 KiB."""

STORE_FILE: Final = "store.jsonl"
SETTINGS_FILE: Final = "settings.env"

_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})")


class FileHeld(Struct, kw_only=True):
    """One file beside the certificate."""

    name: str
    """Path below the folder, with slashes."""
    bytes: int
    sha256: str


class StoreHeld(Struct, kw_only=True):
    """What is held of the store."""

    places: list[str]
    """Under which the collector knew it: host, port and number, or the socket's path."""
    sources: dict[str, str] = field(default_factory=dict)
    """Exchange to the address that its keys were filled from."""
    symbols: list[SymbolHeld] = field(default_factory=list)
    klines: int = 0
    """Keys that hold one kline each."""
    left_out: list[str] = field(default_factory=list)
    """Keys with names of ours that hold what is none of ours."""


class DatabaseHeld(Struct, kw_only=True):
    """What is held of PostgreSQL, of one moment."""

    version: int
    """The step that its tables are at."""
    tables: list[TableHeld]
    series: list[SeriesHeld]


class Certificate(Struct, kw_only=True):
    """What `certificate.json` holds."""

    format: int = FORMAT
    version: str = __version__
    """Of the program that made it."""
    begun_at: str
    completed_at: str
    """ISO-8601 UTC."""
    collecting: list[str]
    """Exchanges whose collectors were at work meanwhile: their spools are not here."""
    exchanges: list[str]
    """Those that there are keys or rows of."""
    store: StoreHeld | None
    database: DatabaseHeld | None
    files: list[FileHeld]
    sha256: str = ""
    """Of this text without blanks and with this field empty."""


class _Header(Struct):
    """What is looked at before anything else."""

    format: int
    version: str


def sealed(certificate: Certificate) -> bytes:
    """As it is written."""
    whole = structs.replace(certificate, sha256=_sum_of(certificate))
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def read_certificate(content: bytes) -> Certificate:
    """Raises `Misconfigured` for what is none, was changed, or is of a later version than this."""
    try:
        header = msgspec.json.decode(content, type=_Header)
        _refuse_newer(header)
        certificate = msgspec.json.decode(content, type=Certificate)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Misconfigured(f"{NAME} is no certificate of a backup ({error}).") from None
    if certificate.sha256 != _sum_of(certificate):
        raise Misconfigured(f"{NAME} was changed after the backup: its own SHA-256 is another one.")
    database = certificate.database
    if database is not None and database.version > migrations()[-1].version:
        raise Misconfigured(
            f"The backup's tables are of version {database.version}, and this program knows "
            f"{migrations()[-1].version}: restore it with data-collector {certificate.version} or later."
        )
    return certificate


def _refuse_newer(header: _Header) -> None:
    theirs, ours = _VERSION.match(header.version), _VERSION.match(__version__)
    assert ours is not None, "the version has three numbers"
    if theirs is None:
        raise Misconfigured(f"{NAME} names no version of data-collector.")
    if header.format > FORMAT or [*map(int, theirs.groups())] > [*map(int, ours.groups())]:
        raise Misconfigured(
            f"The backup was made by data-collector {theirs[0]}, and this is {__version__}: restore it with that "
            "version or a later one."
        )


def _sum_of(certificate: Certificate) -> str:
    return hashlib.sha256(msgspec.json.encode(structs.replace(certificate, sha256=""))).hexdigest()
