"""The file of a memory: what stands in it, who may write, and what becomes of damage, corrections and late candles."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from data_collector.client import Away, Epoch, Item, Revision, WrongQuestion, WrongStore
from data_collector.client.adapters.memory import FileAway, FileInUse, Memory, WrongFile
from data_collector.client.adapters.remembering.candle_file import HEADER_BYTES, ROW
from tests.docs.tree import ROOT
from tests.market import SYMBOL
from tests.unit.client.adapters.candles import feed, klines, walk

NAME = "BTCUSDT-1m.candles"

WRITER = f"""
import sys
from data_collector.client.adapters.memory import Memory
from tests.unit.client.adapters.candles import klines, walk
with Memory(sys.argv[1], "{SYMBOL}", "1m") as memory:
    memory.take(klines(walk(100)))
    print("written", flush=True)
    sys.stdin.read()
"""


def test_file_holds_a_header_and_48_bytes_a_candle(tmp_path: Path) -> None:
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        feed(memory, klines(walk(100)))

    written = (tmp_path / NAME).read_bytes()

    assert len(written) == HEADER_BYTES + 100 * 48
    assert b'"symbol":"BTCUSDT","interval":"1m","embedding":"shape/1","format":"data-collector candles 1"' in written
    assert written[HEADER_BYTES - 1 : HEADER_BYTES] == b"\n"
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_looking_makes_no_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "none", SYMBOL, "1m")

    assert (len(memory), memory.position, memory.first, memory.last) == (0, None, None, None)
    assert not (tmp_path / "none").exists()


def test_position_is_behind_the_newest_candle(tmp_path: Path) -> None:
    memory, other = Memory(tmp_path, SYMBOL, "1m"), Memory(tmp_path, "BTC/USD", "1m", exchange="kraken")
    feed(memory, klines(walk(100)))
    other.take([structs.replace(klines(walk(1))[0], symbol="BTC/USD")])

    assert memory.position == '{"v":1,"stream:BTCUSDT":{"1m":"2024-01-01T13:39:00+00:00","@":"0-0"}}'
    assert other.position == '{"v":1,"kraken:stream:BTC/USD":{"1m":"2024-01-01T12:00:00+00:00","@":"0-0"}}'


def test_candles_of_another_market_are_refused_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    """A demo that began anew has the same symbols and times, and other prices. The sentence names both and the cure."""
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        memory._candles.join("the market 1")
        feed(memory, klines(walk(100)))
        assert (memory.position or "").startswith('{"v":1,"source":"the market 1","stream:BTCUSDT":{')
    before = (tmp_path / NAME).read_bytes()
    sentence = f"{NAME} holds candles of the market 1, and .* come from the market 2: .* another folder, or delete"

    with Memory(tmp_path, SYMBOL, "1m") as writer:
        writer._candles.join(None)
        reader = Memory(tmp_path, SYMBOL, "1m")
        for memory in (writer, reader):
            with pytest.raises(WrongStore, match=sentence):
                memory._candles.join("the market 2")
        with pytest.raises(FileInUse):
            reader._candles.join("the market 1")
        writer._candles.join("the market 1")

    assert (tmp_path / NAME).read_bytes() == before


def test_file_that_knows_no_market_is_of_the_first_that_fills_it(tmp_path: Path) -> None:
    """One that was written before files named their market, or while nobody told it; and one that is still empty."""
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        feed(memory, klines(walk(100)))
    whole = (tmp_path / NAME).read_bytes()
    header = whole[:HEADER_BYTES].replace(b',"market":""', b"").rstrip().ljust(HEADER_BYTES - 1) + b"\n"
    (tmp_path / NAME).write_bytes(header + whole[HEADER_BYTES:])
    early = Memory(tmp_path, SYMBOL, "1m")
    with Memory(tmp_path, SYMBOL, "1m") as memory, Memory(tmp_path / "empty", SYMBOL, "1m") as empty:
        memory._candles.join("the market 1")
        assert len(memory) == 100
        empty._candles.join("the market 1")
        empty._candles.join("the market 2")
        feed(empty, klines(walk(100)))

    with pytest.raises(WrongStore, match="candles of the market 1"):
        early._candles.join("the market 2")
    with pytest.raises(WrongStore, match="candles of the market 2"):
        empty._candles.join("the market 1")


def test_late_candle_leaves_the_market_in_the_file(tmp_path: Path) -> None:
    candles = klines(walk(100))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        memory._candles.join("the market 1")
        feed(memory, [*candles[:50], *candles[51:]])
        memory.take([candles[50]])

    with pytest.raises(WrongStore, match="candles of the market 1"):
        Memory(tmp_path, SYMBOL, "1m")._candles.join("the market 2")


def test_torn_row_is_cut_off_by_the_next_writer_and_read_by_nobody(tmp_path: Path) -> None:
    candles = klines(walk(200))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        feed(memory, candles[:150])
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"torn")

    reader = Memory(tmp_path, SYMBOL, "1m")
    assert len(reader) == 150
    assert (tmp_path / NAME).stat().st_size == HEADER_BYTES + 150 * 48 + 4
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.take(candles) == 50

    reader.reload()
    assert len(reader) == 200
    assert (tmp_path / NAME).stat().st_size == HEADER_BYTES + 200 * 48


def test_rows_that_a_disk_lost_with_its_power_are_filled_again(tmp_path: Path) -> None:
    candles = klines(walk(200))
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        feed(memory, candles)
        whole = memory.similar(k=3, horizons=(1,))
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(HEADER_BYTES + 120 * ROW.itemsize)
        file.write(bytes(10 * ROW.itemsize))

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert len(memory) == 120
        assert memory.take(candles) == 80
        assert memory.similar(k=3, horizons=(1,)) == whole


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"PAR1 and more", "is no file of a memory"),
        (b"\x00" * 2000, "is no file of a memory"),
        (b'{"exchange":"binance","symbol":"ETHUSDT","interval":"1m","embedding":"shape/1"}', "1m candles of ETHUSDT"),
        (
            b'{"exchange":"binance","symbol":"BTCUSDT","interval":"1m","embedding":"shape/1","format":"memory 9"}',
            "memory 9",
        ),
    ],
)
def test_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path, written: bytes, words: str) -> None:
    (tmp_path / NAME).write_bytes(written)

    with pytest.raises(WrongFile, match=words):
        Memory(tmp_path, SYMBOL, "1m")

    assert (tmp_path / NAME).read_bytes() == written


def test_file_of_which_not_even_the_header_was_written_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        feed(memory, klines(walk(100)))

    assert len(Memory(tmp_path, SYMBOL, "1m")) == 100


def test_minutes_and_months_and_exchanges_have_files_of_their_own(tmp_path: Path) -> None:
    kline = klines(walk(1))[0]
    for interval, exchange, symbol in (("1m", "binance", SYMBOL), ("1M", "binance", SYMBOL), ("1m", "kraken", "A/B")):
        with Memory(tmp_path, symbol, interval, exchange=exchange) as memory:
            memory.take([structs.replace(kline, interval=interval, symbol=symbol)])

    assert {path.name for path in tmp_path.iterdir()} == {
        NAME, "BTCUSDT-1month.candles", "kraken-A%2FB-1m.candles"
    }  # fmt: skip


def test_second_process_reads_and_does_not_write(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        memory = Memory(tmp_path, SYMBOL, "1m")

        assert len(memory) == 100
        with pytest.raises(FileInUse, match=f"{NAME} is in use: another process fills or follows"):
            memory.take(klines(walk(200)))
        assert len(memory.similar(horizons=(1,), exclusion=1)) == 10
        writer.kill()

    assert memory.take(klines(walk(200))) == 100
    assert issubclass(FileInUse, Away)


def test_candles_that_another_wrote_meanwhile_are_not_written_twice(tmp_path: Path) -> None:
    candles = klines(walk(300))
    early = Memory(tmp_path, SYMBOL, "1m")
    with Memory(tmp_path, SYMBOL, "1m") as memory:
        feed(memory, candles[:200])

    assert early.take(candles) == 100
    assert len(early) == 300


def test_corrected_candle_is_corrected_in_the_file_and_in_answers(tmp_path: Path) -> None:
    candles = klines(walk(9000))
    corrected = structs.replace(candles[4500], close=candles[4500].close * Decimal("1.001"))
    with Memory(tmp_path / "then", SYMBOL, "1m") as memory:
        feed(memory, candles)
        before = memory.vectors()[1]
        assert memory.take([Revision(corrected, "revision"), corrected]) == 0
        after = memory.vectors()[1]
        answer = memory.similar(k=50)
    with Memory(tmp_path / "anew", SYMBOL, "1m") as memory:
        feed(memory, [*candles[:4500], corrected, *candles[4501:]])
        assert memory.similar(k=50) == answer

    assert set((before != after).any(axis=1).nonzero()[0]) == set(range(4500 - 63, 4501))
    assert (tmp_path / "then" / NAME).read_bytes() == (tmp_path / "anew" / NAME).read_bytes()


def test_late_candle_closes_its_gap(tmp_path: Path) -> None:
    candles = klines(walk(9000))
    with Memory(tmp_path / "then", SYMBOL, "1m") as memory:
        feed(memory, [*candles[:4500], *candles[4502:]])
        assert memory.take([Revision(candles[4501], "recovered")]) == 1
        assert memory.take([candles[4499], candles[4500]]) == 1
        answer = memory.similar(k=50)
    with Memory(tmp_path / "anew", SYMBOL, "1m") as memory:
        feed(memory, candles)
        assert memory.similar(k=50) == answer

    assert [path.name for path in (tmp_path / "then").iterdir()] == [NAME]
    assert (tmp_path / "then" / NAME).read_bytes() == (tmp_path / "anew" / NAME).read_bytes()


def test_nothing_but_closed_candles_of_its_series_is_taken(tmp_path: Path) -> None:
    kline = klines(walk(1))[0]
    other: list[Item] = [
        structs.replace(kline, is_closed=False), structs.replace(kline, symbol="ETHUSDT"),
        structs.replace(kline, interval="5m"), Epoch(SYMBOL, 1),
    ]  # fmt: skip

    with Memory(tmp_path, SYMBOL, "1m") as memory:
        assert memory.take(other) == 0
        assert memory.take([kline, structs.replace(kline, timestamp=kline.timestamp + timedelta(minutes=1))]) == 2


def test_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FileAway, match="cannot be read or written"):
        Memory(tmp_path / "file", SYMBOL, "1m")
    with pytest.raises(WrongQuestion, match="too long for a file"):
        Memory(tmp_path, "B" * 600, "1m")


def test_correction_that_another_wrote_meanwhile_is_seen_by_the_next_writer(tmp_path: Path) -> None:
    candles = klines(walk(300))
    corrected = structs.replace(candles[280], close=candles[280].close * Decimal("1.01"))
    with Memory(tmp_path, SYMBOL, "1m", window=16) as memory:
        feed(memory, candles)
    early = Memory(tmp_path, SYMBOL, "1m", window=16)
    with Memory(tmp_path, SYMBOL, "1m", window=16) as memory:
        memory.take([corrected])
        answer = memory.similar(k=3)

    early.take([candles[299]])

    assert early.similar(k=3) == answer


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_candles_in_any_order_and_corrected_on_the_way_make_the_same_memory(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Blocks of candles come early, late, twice, and with other numbers at first."""
    candles = klines(walk(80))
    folder = tmp_path / str(data.draw(st.uuids()))
    blocks = [candles[at : at + 10] for at in range(0, 80, 10)]
    with Memory(folder, SYMBOL, "1m", window=8) as memory:
        for number in data.draw(st.lists(st.integers(0, 7), max_size=8)):
            wrong = [structs.replace(each, close=each.close + 1) for each in blocks[number]]
            memory.take(wrong if data.draw(st.booleans()) else blocks[number])
        for number in data.draw(st.permutations(range(8))):
            memory.take(blocks[number])
        vectors, answer = memory.vectors(), memory.similar(k=5, horizons=(2,))
    with Memory(folder / "anew", SYMBOL, "1m", window=8) as anew:
        feed(anew, candles)

        assert (answer, len(memory)) == (anew.similar(k=5, horizons=(2,)), 80)
        assert [each.tobytes() for each in vectors] == [each.tobytes() for each in anew.vectors()]
    assert (folder / NAME).read_bytes() == (folder / "anew" / NAME).read_bytes()
