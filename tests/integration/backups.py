"""A store with some of everything, its backup, and how that is put back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from data_collector.model.store_url import parse_store_url
from data_collector.service.backup.certificate import NAME, Certificate, FileHeld, sealed
from data_collector.service.backup.copying import BackupOrder, back_up
from data_collector.service.backup.folder import FoundBackup
from data_collector.service.backup.restoration import RestoredBackup, RestoreOrder, check, restore
from data_collector.service.backup.servers import Servers
from tests.integration.store_reader import Store

PREFIXES = {"binance": ""}


def nothing(part: str, share: float) -> None:
    """Nobody looks at the progress."""


def fill(store: Store) -> None:
    """Some of everything that is copied, and what is not."""
    for number in range(1, 8):
        fields = ("epoch", "1") if number > 4 else ("src", "rest")
        store.ask(
            "XADD", "trades:BTCUSDT", f"{1000 + number}-{number if number < 4 else number + 2}", "data", "{}", *fields
        )
    store.ask("SET", "collector:epoch:BTCUSDT", "1")
    store.ask("SET", "collector:source", "https://exchange.example")
    store.ask("XADD", "stream:BTCUSDT", "5-0", "data", '{"price":1.10}')
    store.ask("HSET", "collector:klines:BTCUSDT", "1m", "60000 0 1", "entry", "5-0")
    store.ask("SET", "kline:BTCUSDT:1m:2024-01-01T00:00:00+00:00", "{}", "EX", 600)
    store.ask("SET", "collector:origin:BTCUSDT:1m:2024-01-01T00:00:00+00:00", "rest", "EX", 600)
    store.ask("SET", "kline:BTCUSDT:1m:2024-01-01T00:01:00+00:00", "{}", "PX", 150)
    store.ask("XADD", "quarantine:unknown", "9-0", "data", b"\xff\xfe \xc3\xa9", "why", "\u00e9")
    store.ask("XADD", "late:BTCUSDT", "3-3", "data", "{}")
    store.ask("XDEL", "late:BTCUSDT", "3-3")
    store.ask("XGROUP", "CREATE", "stream:BTCUSDT", "readers", "0")
    store.ask("XREADGROUP", "GROUP", "readers", "me", "STREAMS", "stream:BTCUSDT", ">")
    store.ask("HSET", "latest:BTCUSDT", "price", "1.10")
    store.ask("SET", "latest:ETHUSDT", "somebody else's")
    store.ask("SET", "collector:writer:abc", "7")
    store.ask("SET", "unrelated", "1")


async def backed_up(store: Store, folder: Path, *, dsn: str | None = None, place: str = "here/0") -> Certificate:
    """A backup of the store, and of a database."""
    servers = Servers(store=parse_store_url(store.url), places=[place], dsn=dsn)
    rules = folder.parent / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "trade.json").write_text("{}")
    order = BackupOrder(
        folder=folder, servers=servers, prefixes=PREFIXES, homes={}, collecting=[], rules=rules, settings_text="A=1\n"
    )  # fmt: skip
    return await back_up(order, nothing)


async def restored(
    store: Store, folder: Path, *, dsn: str | None = None, replace: bool = False, prefixes: Mapping[str, str] = PREFIXES
) -> RestoredBackup:
    """Checked and put back."""
    backup = FoundBackup(folder)
    checked = check(backup, prefixes, nothing)
    home = folder.parent / "home"
    order = RestoreOrder(
        backup=backup, prefixes=prefixes,
        servers=Servers(store=parse_store_url(store.url), places=["there/0"], dsn=dsn),
        homes={"binance": home}, rules=home / "suites", replace=replace, store_folder=None,
    )  # fmt: skip
    return await restore(order, checked, nothing)


def resealed(folder: Path, name: str, content: bytes) -> None:
    """Put other content into a backup with a certificate that knows of it, as somebody hostile can."""
    certificate = FoundBackup(folder).certificate
    (folder / name).write_bytes(content)
    held = FileHeld(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    files = [held if file.name == name else file for file in certificate.files]
    (folder / NAME).write_bytes(sealed(structs.replace(certificate, files=files)))


def everything(store: Store) -> dict[str, object]:
    """All keys with what they hold, but for what expires at once."""
    found: dict[str, object] = {}
    for key in store.keys("*"):
        kind = store.ask("TYPE", key)
        words = {"stream": ("XRANGE", key, "-", "+"), "hash": ("HGETALL", key)}.get(str(kind), ("GET", key))
        try:
            found[key] = store.ask(*words)
        except UnicodeDecodeError:
            found[key] = store.ask("XINFO", "STREAM", key, "COUNT", 0) if kind == "none" else store.length(key)
    return found
