"""A recording as it is read: what is in it, and then line after line.

It is read in turn and never held: only the answers of the REST side are kept, because they are asked for in another
order. A file that was cut off, or is damaged, is read up to there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from data_collector.model.errors import Misconfigured
from data_collector.recording.files import SUFFIX, recording_files
from data_collector.recording.lines import FORMAT_VERSION, Asked, Head, Left, Line, content_of, parse
from data_collector.recording.packing import Packed, lines_in


class Answer(Struct, frozen=True):
    """What the REST side said."""

    ns: int
    asked: Asked
    body: Packed
    """The list of every symbol has 10 MiB, and is asked for again and again."""


class Contents(Struct):
    """What is in the recording of one exchange."""

    head: Head
    """The newest."""
    symbols: dict[str, None] = field(default_factory=dict)
    """Of all of it."""
    first_ns: int = 0
    last_ns: int = 0
    frames: int = 0
    left_out: int = 0
    """Lines that it says are missing."""
    answers: list[Answer] = field(default_factory=list)


class ExchangeRecording:
    """The files of one exchange."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(self) -> Iterator[Line]:
        """All of them, oldest first. Raises `Misconfigured` for files that cannot be read."""
        for path in recording_files(self.folder):
            try:
                yield from (line for text in lines_in(path) if (line := parse(text)) is not None)
            except OSError as error:
                raise Misconfigured(f"{path} cannot be read ({error.strerror or error}).") from error

    def head(self) -> Head:
        """How it begins. Raises `Misconfigured` where nothing is."""
        for line in self.lines():
            if line.kind == "head":
                return _head(line, self.folder)
        raise Misconfigured(f"{self.folder} holds no recording: no file in it begins as those of RECORD do.")

    def contents(self) -> Contents:
        """Read through all of it. Raises `Misconfigured` where nothing is, or what a later release has written."""
        found = Contents(self.head())
        asked: dict[int, Asked] = {}
        for line in self.lines():
            if line.kind == "head":
                head = _head(line, self.folder)
                if head.run != found.head.run:
                    asked.clear()
                found.head = head
                found.symbols |= dict.fromkeys(head.symbols)
            found.first_ns = found.first_ns or line.ns
            found.last_ns = max(found.last_ns, line.ns)
            match line.kind:
                case "in":
                    found.frames += 1
                case "asked" if (question := content_of(line, Asked)) is not None:
                    asked[line.number] = question
                case "body" if line.number in asked:
                    found.answers.append(Answer(line.ns, asked.pop(line.number), Packed.of(line.content)))
                case "left" if (left := content_of(line, Left)) is not None:
                    found.left_out += left.lines
        return found


def find_recordings(folder: Path) -> list[ExchangeRecording]:
    """That of each exchange below a folder, or in it. Raises `Misconfigured` where there is none."""
    folders = [folder, *sorted(path for path in folder.glob("*/") if path.is_dir())]
    found = [ExchangeRecording(each) for each in folders if recording_files(each)]
    if not found:
        raise Misconfigured(f"{folder} holds no recording: name the folder that RECORD named (files *{SUFFIX}).")
    return found


def _head(line: Line, folder: Path) -> Head:
    head = content_of(line, Head)
    if head is None:
        raise Misconfigured(f"{folder} holds a recording that is damaged where it begins.")
    if head.format > FORMAT_VERSION:
        raise Misconfigured(f"{folder} was recorded by a later release ({head.version}): take that one to play it.")
    return head
