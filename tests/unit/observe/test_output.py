"""What is told never waits for who reads it, and never ends who tells it."""

from __future__ import annotations

import contextlib
import io
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from data_collector.observe.output import (
    TOLD_S,
    WAITING_BYTES_MAX,
    dropped_lines,
    dropped_reasons,
    last_words,
    unblocked,
)
from tests.integration.waiting import until

LINE = "x" * 1023 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pipe that nobody reads yet; closed with the test."""
    reading, writing = os.pipe()
    # Descriptors are used again, and one that was told to before would be known.
    number = os.dup2(writing, 200 + writing)
    os.close(writing)
    with os.fdopen(number, "w", encoding="utf-8") as stream:
        yield reading, stream
    with contextlib.suppress(OSError):
        os.close(reading)


def test_reader_that_is_stuck_holds_nobody_up_and_finds_what_there_was_room_for(
    pipe: tuple[int, io.TextIOWrapper],
) -> None:
    reading, stream = pipe
    output, before = unblocked(stream), dropped_lines()
    count = 2 * WAITING_BYTES_MAX // len(LINE)

    for number in range(count):
        output.write(f"{number:05}{LINE[5:]}")

    dropped = dropped_lines() - before
    assert WAITING_BYTES_MAX // len(LINE) // 2 < dropped < count
    text = ""
    while len(text) < (count - dropped) * len(LINE):
        text += os.read(reading, 65536).decode()
    numbers = [int(line[:5]) for line in text.splitlines()]
    assert (len(numbers), numbers[0]) == (count - dropped, 0)
    assert numbers == sorted(numbers)
    output.write("more\n")
    assert select.select([reading], [], [], 30)[0]
    assert os.read(reading, 65536) == b"more\n"


def test_reader_that_has_gone_costs_its_lines_alone(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = pipe
    output, before = unblocked(stream), dropped_lines()
    os.close(reading)

    output.write("one\n")
    output.write("two\n")

    until(lambda: dropped_lines() == before + 2, "both lines counted")
    (told,) = dropped_reasons("this process")
    assert f"{before + 2:,} lines of this process were left out" in told
    assert dropped_reasons("this process", now_s=time.monotonic() + TOLD_S) == []


def test_stream_that_is_no_file_is_written_to_as_it_is() -> None:
    stream = io.StringIO()

    assert unblocked(stream) is stream


def test_what_was_told_right_before_the_end_is_read() -> None:
    program = (
        "import sys; from data_collector.observe.output import tell, unblocked\n"
        "for number in range(100): tell(number)\n"
        "unblocked(sys.stderr).write('done\\n')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.split() == [str(number) for number in range(100)]
    assert ran.stderr == "done\n"


def test_forked_process_tells_what_is_its_own() -> None:
    program = (
        "import os; from data_collector.observe.output import drain, tell\n"
        "tell('parent'); drain()\n"
        "if os.fork() == 0: tell('child'); drain(); os._exit(0)\n"
        "os.wait()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout == "parent\nchild\n"


def test_last_words_wait_for_nobody(monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = pipe
    number = stream.fileno()
    os.set_blocking(number, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(number, LINE.encode())
    os.set_blocking(number, True)
    monkeypatch.setattr("data_collector.observe.output.STDERR", number)

    last_words(b"the end\n", stacks=True)

    assert os.get_blocking(number)
    os.read(reading, 65536)
    last_words(b"the end\n")
    os.set_blocking(reading, False)
    assert os.read(reading, 1 << 20).endswith(b"the end\n")
