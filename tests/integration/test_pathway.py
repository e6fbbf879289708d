"""The tables of Pathway, in an environment of its own: the wish's program, and totals that are exact over kill -9."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.records import Kline, Trade
from data_collector.model.wire import json_text, kline_json, trade_json
from tests.docs.tree import ROOT, read
from tests.foreign.environments import environment_of
from tests.integration.demo import demo
from tests.integration.store_reader import Store
from tests.integration.waiting import until
from tests.market import NOON_MS, SYMBOL, kline, trade

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TRADES, CANDLES = f"trades:{SYMBOL}", f"stream:{SYMBOL}"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = [
    text
    for page in ("docs/pathway.md", "docs/reading.md")
    for text in FENCE.findall(read(page))
    if "pw.io.redis" in text
]

ASKED_FOR = """\
import pathway as pw

# Read from Redis stream
table = pw.io.redis.read(
    rdxclient,
    stream="stream:BTCUSDT",
    format="json"
)

# Process real-time data
result = table.select(
    symbol=pw.this.symbol,
    price=pw.this.close,
    volume=pw.this.volume
)
"""
"""The lines that the collector was asked for with: to stand behind the one import, and a client."""

BEFORE = """\
import os
import redis
import data_collector.client.adapters.pathway
rdxclient = redis.from_url(os.environ["REDIS_URL"])
"""
AFTER = """\
pw.io.jsonlines.write(result, "prices.jsonl")
pw.run()
"""

ROWS, LAST = 12_000, 1000
"""Of trades, the last of which come when all kills are over."""
SUM = ROWS * (ROWS + 1) // 2


@pytest.fixture(scope="module")
def python() -> Path:
    return environment_of("pathway", sees_ours=True)


@contextmanager
def started(store: Store, folder: Path, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program of a reader; what it prints and what Pathway logs lie in the folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": store.url}
    folder.mkdir(exist_ok=True)
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def write(store: Store, *records: Kline | Trade, candles: str = CANDLES) -> None:
    for record in records:
        if isinstance(record, Kline):
            store.ask("XADD", candles, "*", "data", kline_json(record, json_text(record.symbol)))
        else:
            entry_id = f"{record.time_ms}-{record.trade_id}"
            store.ask("XADD", TRADES, entry_id, "data", trade_json(record, json_text(record.symbol)))


def prices(folder: Path) -> list[tuple[str, float, float]]:
    """The rows that stand, out of the changes that were written."""
    written = folder / "prices.jsonl"
    rows: Counter[tuple[str, float, float]] = Counter()
    for line in written.read_text().splitlines() if written.exists() else []:
        change = json.loads(line)
        rows[change["symbol"], change["price"], change["volume"]] += change["diff"]
    return sorted(rows.elements())


@pytest.mark.parametrize(
    ("program", "candles"),
    [*((program, CANDLES) for program in PROGRAMS), (PROGRAMS[0], "kraken:stream:BTC/USD")],
)
def test_program_of_the_docs_follows_the_candles(
    store: Store, tmp_path: Path, python: Path, program: str, candles: str
) -> None:
    """It may be started before the collector has written anything; another exchange is named by the key."""
    log, program = tmp_path / "log.txt", program.replace(CANDLES, candles)
    symbol = candles.rpartition(":")[2]
    records = [
        structs.replace(each, symbol=symbol)
        for each in (
            kline(0, closed=False), kline(0), kline(1, closed=False, close="45190.10"),
            kline(1, close="45200.00", volume="0.00000001"),
        )
    ]  # fmt: skip
    with started(store, tmp_path, python, "-c", program) as running:
        until(lambda: "it is empty" in log.read_text(), "that nothing is there", output=log.read_text)
        write(store, *records[:3], candles=candles)
        until(lambda: len(prices(tmp_path)) == 2, "two candles", output=log.read_text)
        write(store, records[3], candles=candles)
        wanted = [(symbol, 45180.5, 123.456), (symbol, 45200.0, 0.00000001)]
        until(lambda: prices(tmp_path) == wanted, "the closed one", output=lambda: str(prices(tmp_path)))
        running.send_signal(signal.SIGTERM)

        assert running.wait(20) == 128 + signal.SIGTERM


def test_lines_that_were_asked_for_follow_the_demo(tmp_path: Path, python: Path) -> None:
    with demo(tmp_path / "var") as running:
        folder = tmp_path / "reader"
        with started(running.store, folder, python, "-c", BEFORE + ASKED_FOR + AFTER):
            many = until(lambda: prices(folder), "candles", output=(folder / "log.txt").read_text)
            until(lambda: len(prices(folder)) > len(many), "newer ones", output=(folder / "log.txt").read_text)
        running.interrupt()

    assert {symbol for symbol, _, _ in prices(folder)} == {SYMBOL}


def test_tables_are_what_is_asked_for(store: Store, tmp_path: Path, python: Path) -> None:
    """All kinds at once, by clients set up in several ways; what is asked for in vain is a sentence."""
    write(store, trade(1, quantity="0.00000001"), trade(2), kline(0), kline(1, closed=False))
    symbol = json_text(SYMBOL)
    revised = kline_json(kline(0, close="1.5"), symbol)
    for late, why in ((trade_json(trade(3), symbol), "recovered"), (revised, "revision")):
        store.ask("XADD", f"late:{SYMBOL}", "*", "data", late, "why", why, "src", "rest")
    gap = {"channel": "trade", "interval": None, "first": 3, "last": 3, "count": 1, "reason": "lost"}
    store.ask("XADD", f"gaps:{SYMBOL}", "*", "data", json.dumps(gap))

    with started(store, tmp_path, python, "-m", "tests.foreign.pathway_tables", SYMBOL) as running:
        assert running.stdout is not None, "it is a pipe"
        told = [json.loads(line) for line in running.stdout]
        assert running.wait(20) == 0, (tmp_path / "log.txt").read_text()

    assert [row["quantity"] for row in standing(told, "text")] == ["0.00000001", "0.123"]
    assert standing(told, "few") == [{"price": 45180.5, "trade_id": 1}, {"price": 45180.5, "trade_id": 2}]
    assert [(row["trade_id"], row["source"]) for row in standing(told, "late")] == [(1, "ws"), (2, "ws"), (3, "rest")]
    assert {(row["is_closed"], row["close"]) for row in standing(told, "candles")} == {(False, 45180.5), (True, 1.5)}
    assert [(row["is_closed"], row["close"]) for row in standing(told, "closed")] == [(True, 45180.5)]
    assert [(row["first"], row["reason"]) for row in standing(told, "gaps")] == [(3, "lost")]
    sentences = [str(sentence) for name, sentence in told if name == "wrong"]
    assert sentences[0] == "schema= gives 'price' the type <class 'str'>, and the column is of <class 'float'>."
    assert sentences[1].startswith("schema= names 'colour', and there is no such column; there are symbol, timestamp,")


def standing(told: list[list[object]], table: str) -> list[dict[str, object]]:
    """The rows of a table after all changes."""
    rows: Counter[str] = Counter()
    for name, change in told:
        if name == table:
            assert isinstance(change, list)
            rows[json.dumps(change[1])] += 1 if change[0] == "+" else -1
    return [json.loads(row) for row in sorted(rows.elements())]


class Totals:
    """What is counted of a stream, by programs that are killed one after the other."""

    def __init__(self, store: Store, folder: Path, python: Path, stream: str, column: str, bracket: str) -> None:
        words = (python, "-m", "tests.foreign.pathway_totals", stream, column, folder / "state", bracket)
        self._words: tuple[str | Path, ...] = words
        self._store = store
        self._folder = folder

    def killed_at(self, rows: int) -> None:
        """As soon as it has counted so many."""
        with started(self._store, self._folder, *self._words, "streaming") as running:
            assert running.stdout is not None, "it is a pipe"
            assert any(int(line.split()[0]) >= rows for line in running.stdout), (self._folder / "log.txt").read_text()
            running.kill()

    def after(self, *records: Kline | Trade) -> tuple[int, float]:
        """Rows and sum when these have been read too."""
        write(self._store, *records)
        with started(self._store, self._folder, *self._words, "static") as running:
            assert running.stdout is not None, "it is a pipe"
            *_, newest = running.stdout
            rows, total = newest.split()
            return int(rows), float(total)


@pytest.fixture
def trades_stored(store: Store) -> Store:
    write(store, *numbered(1, ROWS - LAST))
    return store


def numbered(first: int, last: int) -> list[Trade]:
    return [trade(number, time_ms=NOON_MS + number) for number in range(first, last + 1)]


def test_trades_are_counted_once_over_two_kills(trades_stored: Store, tmp_path: Path, python: Path) -> None:
    totals = Totals(trades_stored, tmp_path, python, TRADES, "trade_id", "bracketed")

    totals.killed_at(ROWS // 4)
    totals.killed_at(ROWS // 2)

    assert totals.after(*numbered(ROWS - LAST + 1, ROWS)) == (ROWS, SUM)


@pytest.mark.long
@pytest.mark.parametrize("series", range(3))
def test_trades_are_counted_once_over_five_kills(
    trades_stored: Store, tmp_path: Path, python: Path, series: int
) -> None:
    totals = Totals(trades_stored, tmp_path, python, TRADES, "trade_id", "bracketed")

    for kill in range(1, 6):
        totals.killed_at(ROWS * kill // 7 - 300 * series)

    assert totals.after(*numbered(ROWS - LAST + 1, ROWS)) == (ROWS, SUM)


@pytest.mark.long
def test_trades_are_counted_twice_where_rows_and_position_are_not_one_commit(
    trades_stored: Store, tmp_path: Path, python: Path
) -> None:
    """Else the tests above would prove nothing."""
    totals = Totals(trades_stored, tmp_path, python, TRADES, "trade_id", "unbracketed")

    for kill in range(1, 6):
        totals.killed_at(ROWS * kill // 7 + 50)

    rows, total = totals.after(*numbered(ROWS - LAST + 1, ROWS))
    assert rows > ROWS
    assert total > SUM


@pytest.mark.long
def test_candles_are_counted_once_over_five_kills(store: Store, tmp_path: Path, python: Path) -> None:
    candles = 2000
    for minute in range(candles):
        write(store, kline(minute, closed=False, volume="1"), kline(minute, volume=str(minute)))
    totals = Totals(store, tmp_path, python, CANDLES, "volume", "bracketed")

    for kill in range(1, 6):
        totals.killed_at(candles * kill // 7)

    assert totals.after(kline(candles, volume="0.5")) == (candles + 1, sum(range(candles)) + 0.5)


@pytest.mark.long
def test_example_corrects_a_minute_by_a_trade_that_comes_late(store: Store, tmp_path: Path, python: Path) -> None:
    write(store, trade(1), trade(2))
    with started(store, tmp_path, python, ROOT / "examples" / "pathway_vwap.py") as running:
        assert running.stdout is not None, "it is a pipe"
        assert running.stdout.readline() == "12:00  45180.50  of 2 trades\n", (tmp_path / "log.txt").read_text()
        late = trade_json(trade(3, price="45183.50"), json_text(SYMBOL))
        store.ask("XADD", f"late:{SYMBOL}", "*", "data", late, "why", "recovered")

        assert running.stdout.readline() == "12:00  45181.50  of 3 trades\n"


@pytest.mark.long
def test_pathways_own_tests_of_what_is_used_pass(tmp_path: Path, python: Path) -> None:
    words = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    ran = subprocess.run(
        [*words, "--pyargs", "pathway.tests.test_persistence", "-k", "upsert_session"],
        cwd=tmp_path, env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
