"""The file of a memory: the closed candles of one series, rows of 48 bytes behind a header of 512.

It is a cache: what is cut off or lost is filled again out of history. Whoever writes holds a lock until it is closed;
others may read meanwhile.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

from data_collector.client.errors import Away, WrongQuestion, WrongStore
from data_collector.client.terms.series import EXCHANGE

ROW: Final = np.dtype(
    [("open_ms", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"), ("volume", "<f8")]
)  # fmt: skip
"""Of one candle; not a number is what the exchange does not tell."""

Rows = npt.NDArray[np.void]

HEADER_BYTES: Final = 512
_FORMAT: Final = "data-collector candles 1"

_READ_ROWS = 1 << 16


class WrongFile(WrongQuestion):
    """The file is of another series, of another version, or none of a memory."""


class FileInUse(Away):
    """Another process writes into the file."""


class FileAway(Away):
    """The disk does not give or take."""


class Header(Struct, frozen=True):
    """What a file is of."""

    exchange: str
    symbol: str
    interval: str
    embedding: str
    format: str = _FORMAT
    market: str = ""
    """What the store of its candles was filled from, as a position has it; empty where nobody has told."""

    @property
    def file_name(self) -> str:
        """`BTCUSDT-1m.candles`; every embedding, and every exchange but the first, has files of its own."""
        exchange = "" if self.exchange == EXCHANGE else f"{self.exchange}-"
        # Some file systems do not tell 1m from 1M.
        interval = self.interval.replace("M", "month")
        version = "" if self.embedding == "shape/1" else f"-{self.embedding}"
        return quote(f"{exchange}{self.symbol}-{interval}{version}", safe="") + ".candles"

    @property
    def line(self) -> bytes:
        """As it stands in the file."""
        text = msgspec.json.encode(self)
        if len(text) >= HEADER_BYTES:
            raise WrongQuestion(f"The name of {self.symbol[:40]} or of its market is too long for a file of a memory.")
        return text.ljust(HEADER_BYTES - 1) + b"\n"


class CandleFile:
    """Rows by number. Methods raise `FileAway`; those that write `FileInUse` too."""

    def __init__(self, folder: Path, header: Header) -> None:
        """Raises `WrongFile`."""
        self.path = folder / header.file_name
        self._header = header
        self._descriptor: int | None = None
        self.is_locked = False
        self.count = 0
        """Of whole rows whose times rise."""
        header.line  # noqa: B018
        self.reopen()

    @property
    def market(self) -> str:
        """Of its candles; empty where nobody has told."""
        return self._header.market

    @property
    def state(self) -> tuple[int, ...]:
        """Differs when somebody has written meanwhile."""
        if self._descriptor is None:
            return ()
        found = os.fstat(self._descriptor)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def reopen(self) -> None:
        """Another process may have written it anew. Nothing happens where it is ours."""
        if not self.is_locked:
            self.close()
            self._opened(os.O_RDONLY)

    def read(self, first: int, until: int) -> Rows:
        """Those from `first` on and before `until`."""
        if self._descriptor is None or until <= first:
            return np.empty(0, ROW)
        try:
            found = os.pread(self._descriptor, (until - first) * ROW.itemsize, _place(first))
        except OSError as error:
            raise self._away(error) from None
        return np.frombuffer(found[: len(found) // ROW.itemsize * ROW.itemsize], ROW)

    def lock(self) -> None:
        """For writing, until it is closed. What is behind the last whole row is cut off."""
        if self.is_locked:
            return
        self.close()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._away(error) from None
        self._opened(os.O_RDWR | os.O_CREAT)
        assert self._descriptor is not None, "it was made"
        self._take_lock(self._descriptor)
        # What was read before the lock may have grown since.
        self._check_header(self._descriptor)
        self._measure(self._descriptor)
        try:
            if os.fstat(self._descriptor).st_size < HEADER_BYTES:
                os.pwrite(self._descriptor, self._header.line, 0)
            os.ftruncate(self._descriptor, _place(self.count))
        except OSError as error:
            raise self._away(error) from None
        self.is_locked = True

    def check_market(self, market: str) -> None:
        """Raise `WrongStore` where its candles are of another one."""
        if self.count and self.market not in ("", market):
            raise WrongStore(
                f"{self.path} holds candles of {self.market}, and those to be added come from {market}: the candles of "
                "one market do not go on in another. Choose another folder, or delete the file."
            )

    def take_market(self, market: str) -> None:
        """Its candles are of this one from now on. The file is locked. Raises `WrongStore`."""
        assert self._descriptor is not None
        assert self.is_locked
        self.check_market(market)
        if self.market != market:
            header = structs.replace(self._header, market=market)
            try:
                os.pwrite(self._descriptor, header.line, 0)
            except OSError as error:
                raise self._away(error) from None
            self._header = header

    def write(self, first: int, rows: Rows) -> None:
        """From row `first` on, at most behind the last one. The file is locked."""
        assert self._descriptor is not None
        assert self.is_locked
        assert 0 <= first <= self.count
        told = memoryview(np.ascontiguousarray(rows, ROW).tobytes())
        place = _place(first)
        try:
            while told:
                written = os.pwrite(self._descriptor, told, place)
                told, place = told[written:], place + written
        except OSError as error:
            raise self._away(error) from None
        self.count = max(self.count, first + len(rows))

    def replace(self, first: int, rows: Rows) -> None:
        """Everything from row `first` on, in one step: who is killed meanwhile leaves the file as it was."""
        assert self._descriptor is not None
        assert self.is_locked
        made = self.path.with_suffix(".new")
        try:
            with suppress(FileNotFoundError):
                made.unlink()
            descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(os.dup(descriptor), "wb") as file:  # noqa: PTH123
                file.write(self._header.line)
                file.write(np.ascontiguousarray(self.read(0, first)).tobytes())
                file.write(np.ascontiguousarray(rows, ROW).tobytes())
                file.flush()
                os.fsync(descriptor)
            self._take_lock(descriptor)
            made.replace(self.path)
        except OSError as error:
            raise self._away(error) from None
        os.close(self._descriptor)
        self._descriptor, self.count = descriptor, first + len(rows)

    def close(self) -> None:
        """The lock ends."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self.is_locked, self.count = None, False, 0

    def _opened(self, flags: int) -> None:
        self._header = structs.replace(self._header, market="")
        try:
            self._descriptor = os.open(self.path, flags | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._away(error) from None
        try:
            self._check_header(self._descriptor)
            self._measure(self._descriptor)
        except BaseException:
            self.close()
            raise

    def _take_lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise FileInUse(
                f"{self.path} is in use: another process fills or follows this memory. Let that one do it, or give "
                "this one a folder of its own."
            ) from None
        except OSError as error:
            raise self._away(error) from None
        if descriptor == self._descriptor and not _is_at(self.path, descriptor):
            # It was replaced between opening and locking.
            self.close()
            raise FileInUse(f"{self.path} was written anew by another process just now: try again.")

    def _check_header(self, descriptor: int) -> None:
        line = os.pread(descriptor, HEADER_BYTES, 0)
        if not line:
            return
        try:
            found = msgspec.json.decode(line, type=Header)
        except (msgspec.MsgspecError, RecursionError):
            raise WrongFile(f"{self.path} is no file of a memory: move it away, or choose another folder.") from None
        if structs.replace(found, market="") != structs.replace(self._header, market=""):
            raise WrongFile(
                f"{self.path} holds {found.interval} candles of {found.symbol} ({found.exchange}, {found.embedding}, "
                f"{found.format}): move it away, or choose another folder."
            )
        self._header = found

    def _measure(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self.count = max(0, size - HEADER_BYTES) // ROW.itemsize
        last_ms = -1
        for first in range(0, self.count, _READ_ROWS):
            open_ms = self.read(first, min(first + _READ_ROWS, self.count))["open_ms"]
            is_wrong = np.diff(open_ms, prepend=last_ms) <= 0
            if is_wrong.any():
                # A disk that lost power may hold anything behind what it had written.
                self.count = first + int(np.argmax(is_wrong))
                return
            last_ms = int(open_ms[-1])

    def _away(self, error: OSError) -> FileAway:
        return FileAway(f"{self.path} cannot be read or written ({error.strerror}).")


def _place(row: int) -> int:
    return HEADER_BYTES + row * ROW.itemsize


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
