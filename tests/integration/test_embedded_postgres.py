"""The embedded PostgreSQL: made once, kept, gone on with, and never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from data_collector.embedded import postgres
from data_collector.embedded.postgres import EmbeddedPostgres, embedded_programs, programs_for, server_user
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.logs import get_log
from data_collector.sinks.postgres.pool import open_pool
from tests.integration.postgres_server import execute, rows


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Of an empty folder; stopped and gone afterwards."""
    server = EmbeddedPostgres(tmp_path / "postgres", log=get_log(), port=0)
    yield server
    await server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


async def test_rows_are_kept_over_a_stop_a_kill_and_an_end_of_the_collector(
    embedded: EmbeddedPostgres, tmp_path: Path
) -> None:
    await embedded.start()
    dsn = embedded.dsn
    execute(dsn, "create table kept (number integer)", "insert into kept values (1)")
    await embedded.stop()
    await embedded.start()
    assert embedded.dsn == dsn

    execute(dsn, "insert into kept values (2)")
    os.kill(embedded.pid, signal.SIGKILL)
    await embedded.wait()
    await embedded.start()
    other = EmbeddedPostgres(tmp_path / "postgres", log=get_log(), port=0)
    await other.start()

    assert other.pid == embedded.pid
    assert rows(other.dsn, "select number from kept order by 1") == [(1,), (2,)]
    assert owner(embedded.pid) != 0


@pytest.mark.parametrize("is_left", [False, True], ids=["fresh machine", "closed by an earlier start"])
async def test_root_whose_umask_is_077_gets_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_left: bool
) -> None:
    folder = open_folder()
    programs = linked_programs(tmp_path)
    monkeypatch.setattr(postgres, "ROOTS_FOLDER", folder / "var" / "data-collector")
    monkeypatch.setattr(postgres, "embedded_programs", lambda: programs)
    server = EmbeddedPostgres(tmp_path / "postgres", log=get_log(), port=0)
    before = os.umask(0o077)
    try:
        if is_left:
            make_closed(postgres.ROOTS_FOLDER)
        await server.start()
        assert rows(server.dsn, "select 1") == [(1,)]
    finally:
        os.umask(before)
        await server.stop()
        shutil.rmtree(folder)


def test_two_first_starts_at_once_share_the_copy_of_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, us = linked_programs(tmp_path), pwd.getpwuid(os.geteuid())
    programs.parents[2].chmod(0o700)
    monkeypatch.setattr(postgres, "ROOTS_FOLDER", tmp_path / "data-collector")
    monkeypatch.setattr(postgres, "embedded_programs", lambda: programs)
    open_to_others = postgres._open_to_others

    def be_slower(unfinished: Path) -> None:
        monkeypatch.setattr(postgres, "_open_to_others", open_to_others)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        programs_for(us)
        open_to_others(unfinished)

    monkeypatch.setattr(postgres, "_open_to_others", be_slower)

    assert (programs_for(us) / "postgres").exists()
    assert len(list(postgres.ROOTS_FOLDER.iterdir())) == 1


async def test_programs_that_may_not_be_run_are_told_in_a_sentence(
    embedded: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = slow_programs()
    (folder / "initdb").touch(0o644)
    monkeypatch.setattr(postgres, "embedded_programs", lambda: folder)

    with pytest.raises(Unavailable, match=r"initdb \(Permission denied\)"):
        await embedded.start()

    shutil.rmtree(folder)


def linked_programs(folder: Path) -> Path:
    """The server's programs where nobody but us may pass, as in root's home."""
    programs = embedded_programs()
    package = programs.parent.parent
    (folder / package.name).mkdir()
    (folder / package.name / programs.parent.name).symlink_to(programs.parent)
    (folder / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    return folder / package.name / programs.parent.name / programs.name


async def test_server_that_ends_as_it_starts_is_told_with_its_log(embedded: EmbeddedPostgres) -> None:
    await embedded.start()
    await embedded.stop()
    with (embedded.folder / "rows" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")

    with pytest.raises(Unavailable, match=r"postgres\.log says why"):
        await embedded.start()


async def test_nobody_gets_in_without_the_password(embedded: EmbeddedPostgres) -> None:
    await embedded.start()
    login, _, place = embedded.dsn.partition("@")

    with pytest.raises(Misconfigured, match="refuses the login"):
        await open_pool(f"{login}x@{place}")


SLOW = """#!/bin/sh
if [ "$1" = -D ]; then
  printf '%s\\n' $$ "$2" 0 0 "" 127.0.0.1 0 starting > "$2/postmaster.pid"
  sleep 3
fi
exec {programs}/postgres "$@"
"""
"""A server that replays for longer than anybody waits for one that is silent."""


async def test_a_server_that_replays_is_waited_for(
    embedded: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    await embedded.start()
    os.kill(embedded.pid, signal.SIGKILL)
    await embedded.wait()
    folder = slow_programs()
    monkeypatch.setattr(postgres, "embedded_programs", lambda: folder)
    monkeypatch.setattr(postgres, "START_TIMEOUT_S", 2.0)

    await embedded.start()

    assert rows(embedded.dsn, "select 1") == [(1,)]
    shutil.rmtree(folder)


def open_folder() -> Path:
    """Not pytest's folder: the server may be another user, and that one may not pass there."""
    folder = Path(tempfile.mkdtemp(prefix="dc-pg-"))
    folder.chmod(0o755)
    return folder


def make_closed(folder: Path) -> None:
    """A folder that only we may pass, in one for everybody."""
    folder.parent.mkdir()
    folder.parent.chmod(0o755)
    folder.mkdir(mode=0o700)


def slow_programs() -> Path:
    """A folder with the slow server."""
    folder = open_folder()
    script = folder / "postgres"
    script.write_text(SLOW.format(programs=programs_for(server_user())))
    script.chmod(0o755)
    return folder


async def test_links_in_the_servers_folder_change_no_other_file(embedded: EmbeddedPostgres, tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.write_text("untouched")
    embedded.folder.mkdir(parents=True)
    for name in ("port", "password"):
        (embedded.folder / name).symlink_to(aim)
    await embedded.start()
    assert rows(embedded.dsn, "select 1") == [(1,)]
    await embedded.stop()
    log = embedded.folder / "postgres.log"
    log.unlink()
    log.symlink_to(aim)

    with pytest.raises(Misconfigured, match=r"postgres\.log"):
        await embedded.start()

    assert aim.read_text() == "untouched"
    assert aim.stat().st_uid == os.geteuid()


def owner(pid: int) -> int:
    """Whose process it is."""
    return Path(f"/proc/{pid}").stat().st_uid
