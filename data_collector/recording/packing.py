"""Zstandard, by the library that writes Parquet: each block is packed alone, so that a file is read up to a cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

LEVEL = 1
"""Higher ones make it hardly smaller, and take longer."""

BLOCK_BYTES = 256 * 1024
"""Larger ones are hardly smaller, and take more time a byte."""

READ_BYTES = 64 * 1024
LAST_BYTES = 64
"""Read at once before a cut, and then a byte: where a part is not there as a whole, nothing of it is given."""

LINE_BYTES_MAX = 128 * 1024 * 1024
"""The list of every symbol is the longest, some 10 MiB."""

_codec = pa.Codec("zstd", compression_level=LEVEL)


def packed(content: bytes) -> bytes:
    """What to write; others than the caller's thread run meanwhile."""
    view = memoryview(content)
    return b"".join(
        _codec.compress(view[start : start + BLOCK_BYTES], asbytes=True) for start in range(0, len(view), BLOCK_BYTES)
    )


class Packed(Struct, frozen=True):
    """Something that is kept in memory, and seldom looked at."""

    content: bytes
    size: int

    @classmethod
    def of(cls, content: bytes) -> Packed:
        """Pack it."""
        return cls(_codec.compress(content, asbytes=True), len(content))

    def unpacked(self) -> bytes:
        """What it was."""
        return _codec.decompress(self.content, self.size, asbytes=True)


def lines_in(path: Path) -> Iterator[bytes]:
    """The lines of a file, up to its end or the cut. Raises `OSError` when it cannot be opened."""
    begun: list[bytes] = []
    for part in _parts(path):
        ending, *others = part.split(b"\n")
        begun.append(ending)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = others[-1:]
        elif len(begun) * READ_BYTES > LINE_BYTES_MAX:
            return


def _parts(path: Path) -> Iterator[bytes]:
    done = 0
    for size in (READ_BYTES, LAST_BYTES, 1):
        with pa.OSFile(str(path)) as file:
            if not file.size():
                return
            with pa.CompressedInputStream(file, "zstd") as unpacked:
                try:
                    unpacked.read(done)
                    while part := unpacked.read(size):
                        yield part
                        done += len(part)
                except (OSError, EOFError):
                    # Cut off or damaged: nothing after it is believed.
                    continue
        return
