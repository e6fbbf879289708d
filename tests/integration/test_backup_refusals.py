"""What `backup` and `restore` refuse, and that nothing is left of what was broken off."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from data_collector.model.errors import Misconfigured, RowsRefused
from data_collector.model.store_url import parse_store_url
from data_collector.service.backup import restoration
from data_collector.service.backup.certificate import NAME, FileHeld, sealed
from data_collector.service.backup.folder import FoundBackup
from data_collector.service.backup.restoration import check
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.copies.copying import KeyCopier
from data_collector.sinks.redis.suitability import BROKEN_OFF
from tests.integration.backups import PREFIXES, backed_up, fill, nothing, resealed, restored
from tests.integration.postgres_server import fresh_database, rows
from tests.integration.store_reader import Store


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_rows_that_are_none_leave_store_and_database_as_they_were(
    store: Store, tmp_path: Path, pool: object, database: str, database_server: str
) -> None:
    fill(store)
    await backed_up(store, tmp_path / "copy", dsn=database)
    resealed(tmp_path / "copy", "database/market_data_epochs.csv", b"exchange,symbol,epoch,recorded_at\nx,y,z,now\n")
    store.ask("FLUSHALL")
    with fresh_database(database_server) as other:
        with pytest.raises(RowsRefused):
            await restored(store, tmp_path / "copy", dsn=other)

        assert rows(other, "select to_regclass('market_data_trades')::text") == [(None,)]
    assert store.keys("*") == []
    assert not list((tmp_path / "home").rglob("*.json"))


async def test_store_that_is_in_use_or_full_is_refused(store: Store, tmp_path: Path) -> None:
    fill(store)
    await backed_up(store, tmp_path / "copy")
    with pytest.raises(Misconfigured, match="holds records already"):
        await restored(store, tmp_path / "copy")
    store.ask("XADD", "trades:BTCUSDT", "9999-9999", "data", "{}")
    await restored(store, tmp_path / "copy", replace=True)
    assert store.tail_id("BTCUSDT") == 9
    assert store.text("unrelated") == "1"

    store.ask("FLUSHALL")
    connection = await StoreConnection.connect(parse_store_url(store.url))
    with pytest.raises(Misconfigured, match="A data-collector is connected"):
        await restored(store, tmp_path / "copy")
    connection.close()
    assert store.keys("*") == []


async def test_restore_that_is_broken_off_leaves_nothing_or_a_store_that_no_collector_takes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    fill(store)
    await backed_up(store, tmp_path / "copy")
    store.ask("FLUSHALL")
    source: list[str | None] = []

    class Killed(BaseException):
        """As Ctrl-C."""

    def end(*given: object) -> None:
        source.append(store.text("collector:source"))
        raise Killed

    monkeypatch.setattr(restoration._Files, "put", end)
    with pytest.raises(Killed):
        await restored(store, tmp_path / "copy")

    assert source == ["a restore that was broken off"]
    assert store.keys("*") == []


def test_folder_that_is_no_whole_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="There is no folder"):
        FoundBackup(tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="not completed"):
        FoundBackup(tmp_path)
    for text in ("", "[" * 100_000, "{}", '{"format": 1, "version": "0.1.0"}', '{"format": 1, "version": "x"}'):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(Misconfigured, match="certificate"):
            FoundBackup(tmp_path)
    for format_number, version in ((2, "0.1.0"), (1, "99.0.0")):
        (tmp_path / NAME).write_text(json.dumps({"format": format_number, "version": version}))
        with pytest.raises(Misconfigured, match=f"made by data-collector {version}"):
            FoundBackup(tmp_path)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"", "another size"),
        (None, "its SHA-256 is another one"),
        ("missing", "cannot be read"),
        ("link", "is a link"),
        ("folder", "cannot be read"),
    ],
)
async def test_file_that_is_not_as_it_was_written_is_refused(
    store: Store, tmp_path: Path, file: bytes | str | None, sentence: str
) -> None:
    fill(store)
    await backed_up(store, tmp_path / "copy")
    path = tmp_path / "copy/store.jsonl"
    content = path.read_bytes()
    path.unlink()
    if file == "link":
        (tmp_path / "other").write_bytes(content)
        path.symlink_to(tmp_path / "other")
    elif file == "folder":
        path.mkdir()
    elif file != "missing":
        path.write_bytes(content.replace(b"1.10", b"9.10") if file is None else b"")

    with pytest.raises(Misconfigured, match=sentence):
        check(FoundBackup(tmp_path / "copy"), PREFIXES, nothing)


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"[" * 100_000,
        b'{"is":"string","key":"unrelated","value":"x"}',
        b'{"is":"hash","key":"trades:BTCUSDT","fields":["a","b"]}',
        b'{"is":"hash","key":"latest:BTCUSDT","fields":["a"]}',
        b'["1-1","data","{}"]',
        b'{"is":"stream","key":"trades:X"}',
        b'{"is":"stream","key":"trades:X"}\n["2-1","a","b"]\n["1-1","a","b"]',
        b'{"is":"stream","key":"trades:X"}\n["0-1; FLUSHALL","a","b"]',
        b'{"is":"stream","key":"trades:X"}\n["2-1","a","b"]\n{"is":"end","last":"1-1","added":1,"deleted":"0-0","groups":[]}',
        b'{"is":"stream","key":"trades:X"}\n{"is":"end","last":"1-1","added":0,"deleted":"0-0","groups":[]}',
    ],
)
async def test_line_that_no_backup_has_is_refused_before_anything_is_written(
    store: Store, tmp_path: Path, line: bytes
) -> None:
    """Also where the certificate agrees."""
    store.ask("XADD", "trades:BTCUSDT", "5-5", "data", "{}")
    await backed_up(store, tmp_path / "copy")
    content = (tmp_path / "copy/store.jsonl").read_bytes()
    resealed(tmp_path / "copy", "store.jsonl", content + line + b"\n")
    store.ask("FLUSHALL")

    with pytest.raises(Misconfigured, match=r"store\.jsonl"):
        await restored(store, tmp_path / "copy")

    assert store.keys("*") == []


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "rules/../../x.json", "spool/x/../../y", "state/a/.b", "x"]
)
async def test_certificate_that_names_other_files_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    fill(store)
    certificate = await backed_up(store, tmp_path / "copy")
    strange = FileHeld(name=name, bytes=0, sha256="")
    whole = structs.replace(certificate, files=[*certificate.files, strange])
    (tmp_path / "copy" / NAME).write_bytes(sealed(whole))

    with pytest.raises(Misconfigured, match="names files that no backup has"):
        FoundBackup(tmp_path / "copy")


async def test_certificate_that_was_changed_is_refused(store: Store, tmp_path: Path) -> None:
    fill(store)
    await backed_up(store, tmp_path / "copy")
    path = tmp_path / "copy" / NAME
    changed = msgspec.json.decode(path.read_bytes())
    changed["store"]["symbols"] = []
    path.write_bytes(msgspec.json.encode(changed))

    with pytest.raises(Misconfigured, match="was changed after the backup"):
        FoundBackup(tmp_path / "copy")


async def test_backup_that_cannot_be_made_leaves_no_folder(store: Store, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    with pytest.raises(Misconfigured, match="there and not empty"):
        await backed_up(store, full)
    with pytest.raises(Misconfigured, match="nothing to back up"):
        await backed_up(store, tmp_path / "copy")

    assert names_in(tmp_path) == ["full", "rules"]


async def test_store_that_is_half_restored_is_not_backed_up(store: Store, tmp_path: Path) -> None:
    """It would take the place of a whole one."""
    fill(store)
    store.ask("SET", "collector:source", BROKEN_OFF)

    with pytest.raises(Misconfigured, match="a restore was broken off"):
        await backed_up(store, tmp_path / "copy")

    assert names_in(tmp_path) == ["rules"]


async def test_backup_that_is_broken_off_leaves_nothing_that_looks_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)

    async def end(*given: object) -> int:
        assert names_in(tmp_path) == [".copy.partial", "rules"]
        raise asyncio.CancelledError

    monkeypatch.setattr(KeyCopier, "copy_klines", end)
    with pytest.raises(asyncio.CancelledError):
        await backed_up(store, tmp_path / "copy")

    assert names_in(tmp_path) == ["rules"]
