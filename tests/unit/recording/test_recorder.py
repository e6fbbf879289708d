"""What is heard is kept, whatever the disk does; what is not kept is told."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from data_collector.model.errors import BadFrame
from data_collector.recording import files as files_module
from data_collector.recording.files import FILES_MIN, recording_files
from data_collector.recording.lines import Left
from data_collector.recording.reading import ExchangeRecording
from data_collector.recording.recorder import KeptConnection, Recorder
from data_collector.venues.binance.codec import BinanceCodec
from tests.integration.waiting import until_async
from tests.unit.recording.conftest import SECRET, MakeRecorder, read

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782137,"s":"BTCUSDT","t":%d,"p":"45000.10000000",'
    b'"q":"0.00010000","T":1672515782136,"m":true,"M":true}}'
)


async def written(recorder: Recorder) -> None:
    """All that was heard is in files, or left out."""
    await recorder.close()


def hearing(recorder: Recorder) -> tuple[KeptConnection, Callable[[bytes, int], object]]:
    """A connection, and what hears frames on it."""
    kept = recorder.connection("1", "/stream")
    decode = kept.keeping(BinanceCodec().session().decode)
    kept.opened()
    return kept, lambda frame, ns: decode(memoryview(frame), ns)


async def test_frames_answers_and_ends_are_kept_as_they_came(recorder: MakeRecorder, tmp_path: Path) -> None:
    recording = recorder()
    kept, hear = hearing(recording)
    kept.sent(b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
    hear(b'{"result":null,"id":1}', 5)
    hear(TRADE % 7, 6)
    with pytest.raises(BadFrame):
        hear(b'{"broken', 7)
    recording.answer("/api/v3/time", {"a": "b"}, 200, {"Retry-After": "3", "Set-Cookie": "x"}, b'{"serverTime":1}', 4)
    kept.ended("close 1006")
    await written(recording)

    lines = read(tmp_path)
    assert [line.kind for line in lines] == ["head", "open", "sent", "in", "in", "in", "asked", "body", "end"]
    assert [(line.ns, line.content) for line in lines if line.kind == "in"] == [
        (5, b'{"result":null,"id":1}'), (6, TRADE % 7), (7, b'{"broken'),
    ]  # fmt: skip
    contents = ExchangeRecording(tmp_path / "binance").contents()
    assert (contents.head.exchange, contents.head.symbols, contents.frames) == ("binance", ("BTCUSDT",), 3)
    (answer,) = contents.answers
    assert (answer.asked.path, answer.asked.query) == ("/api/v3/time", {"a": "b"})
    assert answer.body.unpacked() == b'{"serverTime":1}'
    assert answer.asked.headers == {"Retry-After": "3"}


async def test_neither_keys_nor_addresses_are_kept(recorder: MakeRecorder, tmp_path: Path) -> None:
    recording = recorder()
    kept, hear = hearing(recording)
    refusal = b'{"code":-1003,"msg":"IP(203.0.113.7) banned, key ' + SECRET.encode() + b'"}'
    recording.answer(f"/api/{SECRET}", {"key": SECRET}, 418, {"X-Forwarded-For": "203.0.113.7"}, refusal, 4)
    recording.answer("/api/v3/x", {}, 200, {}, b'{"echo":"' + SECRET.encode() + b'"}', 4)
    kept.sent(b'{"key":"' + SECRET.encode() + b'"}')
    hear(b'{"error":{"code":2,"msg":"IP 203.0.113.7"},"id":1}', 5)
    with pytest.raises(BadFrame):
        hear(b"203.0.113.7 " + SECRET.encode(), 6)
    kept.ended(f"{SECRET} 203.0.113.7")
    await written(recording)

    content = b"".join(bytes(line.content) for line in read(tmp_path))
    assert b"banned" in content
    assert SECRET.encode() not in content
    assert b"203.0.113.7" not in content


async def test_files_are_begun_anew_and_the_oldest_go_beyond_the_bound(recorder: MakeRecorder, tmp_path: Path) -> None:
    bound = 80_000
    recording = recorder(bound)
    kept, hear = hearing(recording)
    kept.sent(b'{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
    for number in range(40):
        # What packs badly.
        recording.answer("/x", {}, 200, {}, b'{"noise":"' + os.urandom(3_000).hex().encode() + b'"}', 4)
        hear(TRADE % number, number)
        recording._hand_on()
    await written(recording)

    found = recording_files(tmp_path / "binance")
    assert sum(path.stat().st_size for path in found) <= bound
    assert 2 <= len(found) <= FILES_MIN + 1
    assert recording._files is not None
    assert recording._files.deleted > 0
    lines = read(tmp_path)
    heads = [place for place, line in enumerate(lines) if line.kind == "head"]
    assert [lines[place + 1].kind for place in heads] == ["open"] * len(found), "each tells which connections are open"
    assert [lines[place + 2].kind for place in heads] == ["sent"] * len(found)
    numbers = [line.ns for line in lines if line.kind == "in"]
    assert numbers == list(range(numbers[0], 40)), "what is left has no holes"


async def test_next_collector_goes_on_in_the_same_folder(recorder: MakeRecorder, tmp_path: Path) -> None:
    for number in (1, 2):
        recording = recorder()
        hearing(recording)[1](TRADE % number, number)
        await written(recording)

    assert [path.name for path in recording_files(tmp_path / "binance")] == ["00000001.jsonl.zst", "00000002.jsonl.zst"]
    assert [line.ns for line in read(tmp_path) if line.kind == "in"] == [1, 2]


async def test_symbols_that_are_collected_later_are_told_too(recorder: MakeRecorder, tmp_path: Path) -> None:
    recording = recorder()
    for symbols in (["BTCUSDT"], ["BTCUSDT", "ETHUSDT"], ["ETHUSDT"]):
        recording.learn(symbols)
    await written(recording)

    contents = ExchangeRecording(tmp_path / "binance").contents()
    assert (contents.head.symbols, set(contents.symbols)) == (("ETHUSDT",), {"BTCUSDT", "ETHUSDT"})


async def test_damaged_file_is_read_without_what_is_damaged(recorder: MakeRecorder, tmp_path: Path) -> None:
    """Something else stands in the middle of it."""
    recording = recorder()
    hear = hearing(recording)[1]
    for number in range(2_000):
        hear(TRADE % number, number)
        if number % 500 == 499:
            recording._hand_on()
    await written(recording)
    (path,) = recording_files(tmp_path / "binance")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    path.write_bytes(content)

    numbers = [line.ns for line in read(tmp_path) if line.kind == "in"]
    assert numbers[:500] == list(range(500))
    assert len(numbers) < 2_000


@pytest.mark.parametrize("cut", [1, 9, 40, 300])
async def test_cut_file_is_read_up_to_the_cut(recorder: MakeRecorder, tmp_path: Path, cut: int) -> None:
    """As `kill -9` leaves it, and then the next file."""
    recording = recorder()
    hear = hearing(recording)[1]
    for number in range(5):
        for _ in range(50):
            hear(TRADE % number, number)
        recording._hand_on()
    await written(recording)
    (path,) = recording_files(tmp_path / "binance")
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    recording = recorder()
    hearing(recording)[1](TRADE % 9, 9)
    await written(recording)

    numbers = [line.ns for line in read(tmp_path) if line.kind == "in"]
    *before, last = numbers
    assert before == [number for number in range(5) for _ in range(50)][: len(before)]
    assert last == 9
    assert len(before) >= (50 if cut > 100 else 200)
    assert len(before) < 250


async def test_folder_that_cannot_be_written_costs_lines_and_nothing_else(
    recorder: MakeRecorder, tmp_path: Path
) -> None:
    """A file stands where the folder should be; then it is taken away."""
    (tmp_path / "binance").write_text("in the way")
    recording = recorder()
    hear = hearing(recording)[1]
    running = asyncio.create_task(recording.run())
    hear(TRADE % 1, 1)
    await until_async(lambda: recording.refusal is not None)
    assert recording.refusal in {"File exists", "Not a directory"}
    assert recording.left_out == 2

    (tmp_path / "binance").unlink()

    def is_up() -> bool:
        hear(TRADE % 2, 2)
        return recording.refusal is None

    await until_async(is_up)
    running.cancel()
    await written(recording)
    lines = read(tmp_path)
    (told,) = [msgspec.json.decode(line.content, type=Left) for line in lines if line.kind == "left"]
    assert told.lines == recording.left_out
    assert lines[1].kind == "open"


async def test_full_disk_leaves_no_half_of_a_block(
    recorder: MakeRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = recorder()
    hear = hearing(recording)[1]
    hear(TRADE % 1, 1)
    recording._hand_on()
    await until_async(lambda: recording._files is not None and recording._files.size > 0)
    write = os.write

    def half(descriptor: int, content: memoryview) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    hear(TRADE % 2, 2)
    recording._hand_on()
    await until_async(lambda: recording.refusal is not None)
    monkeypatch.undo()
    monkeypatch.setattr(files_module, "RETRY_S", 0.0)
    assert recording._files is not None
    recording._files._retry_s = 0.0
    hear(TRADE % 3, 3)
    await written(recording)

    assert [line.ns for line in read(tmp_path) if line.kind == "in"] == [1, 3]
    assert [line.kind for line in read(tmp_path)] == ["head", "open", "in", "left", "in"]


async def test_disk_that_is_too_slow_costs_lines_that_are_told(recorder: MakeRecorder, tmp_path: Path) -> None:
    recording = recorder(queue_bytes=300)
    hear = hearing(recording)[1]
    for number in range(20):
        hear(TRADE % number, number)
    recording._hand_on()
    assert recording.left_out == 21

    hear(TRADE % 30, 30)
    await written(recording)
    contents = ExchangeRecording(tmp_path / "binance").contents()
    assert (contents.frames, contents.left_out) == (1, 21)
