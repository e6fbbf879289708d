"""Folder locks: exclusive, inherited, and telling who holds them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_collector.embedded.lock import FileLock, lock_directory, prepare_directory
from data_collector.model.errors import Misconfigured


def test_lock_is_exclusive_until_released(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")

    assert first.take()
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_holder_is_written_down(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "live")

    holder = lock.holder()
    lock.release()

    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder.since.endswith("+00:00")


def test_second_taker_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path)

    with pytest.raises(Misconfigured, match=rf"in use by process {os.getpid()} .* VAR_DIR"):
        lock_directory(tmp_path)

    lock.release()


def test_unreadable_holder_does_not_hide_the_conflict(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path)
    (tmp_path / "lock").write_text("nonsense")

    with pytest.raises(Misconfigured, match="in use by another process"):
        lock_directory(tmp_path)

    lock.release()


def test_child_that_inherited_the_lock_keeps_it(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.take()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,)
    )

    lock.release()

    assert not other.take()
    child.communicate()
    assert other.take()
    other.release()


def test_child_that_was_not_given_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.take()
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)

    lock.release()

    assert other.take()
    other.release()
    child.communicate()


def test_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")

    with pytest.raises(Misconfigured, match="cannot be used"):
        lock_directory(tmp_path)

    assert (tmp_path / "precious").read_text() == "kept"


def test_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("")

    with pytest.raises(Misconfigured, match=r"The folder .*live cannot be used .* VAR_DIR"):
        prepare_directory(tmp_path / "live")


def test_folder_is_made_with_its_parents_and_closed_to_others(tmp_path: Path) -> None:
    prepare_directory(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
