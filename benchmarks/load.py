"""What the gate and the audit by Great Expectations cost a bulk load: the same published files, with and without them.

Each round reads the same archives, checks and unpacks them, and stores their rows in empty tables of the embedded
server: without a gate, with the gate alone, with the gate and real Great Expectations, in turns. The start of its
process and its last verdict are within the time, which is why a short load takes longer with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import tempfile
import time
import zipfile
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.history.events import GxCheck
from data_collector.model.calendar import DAY_MS
from data_collector.model.keys import Key
from data_collector.model.published import BulkFile
from data_collector.observe.logs import get_log
from data_collector.service.loading.gated_rows import GatedRows
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import PostgresPool, open_pool
from data_collector.sinks.postgres.quarantine import PostgresQuarantine
from data_collector.sinks.postgres.writing import PostgresWriter
from data_collector.validation.auditing.ports import EmbeddedPort
from data_collector.validation.gate.gate import gate_of
from data_collector.validation.rules.columns import KINDS
from data_collector.validation.rules.suite import shipped_suite
from data_collector.venues.binance.bulk_files import BinanceBulkFiles

ROUNDS = 3
SHARE_MAX = 1 / 3
"""Of the load's own time."""

MINUTE_MS = 60_000
FROM_MS = 1_704_067_200_000
"""2024-01-01."""

BITCOIN = "BTCUSDT"


class Round(Struct, frozen=True):
    """One load."""

    seconds: float
    cpu_s: float
    """Of the process that loads."""
    worker_cpu_s: float
    """Of the process of Great Expectations, from its start to its end."""
    gx: GxCheck | None


async def run(*, rows: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="dc-bench-"))
    server = EmbeddedPostgres(folder / "postgres", log=get_log(), port=0)
    try:
        files = [*_publish_klines(folder, rows), *_publish_trades(folder, rows)]
        await server.start()
        pool = await open_pool(server.dsn, size=1)
        async with pool.acquire() as connection:
            await migrate(connection)
        await _compare(pool, BinanceBulkFiles(str(folder)), files)
        await pool.close()
    finally:
        await server.empty()
        shutil.rmtree(folder, ignore_errors=True)


async def _compare(pool: PostgresPool, source: BinanceBulkFiles, files: list[BulkFile]) -> None:
    names = ("no gate", "gate", "gate and audit")
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            rounds[name].append(await _load(pool, source, files, name))
    print(f"Bulk load of {len(files)} published files, {ROUNDS} rounds in turns:")
    for name in names:
        times = [each.seconds for each in rounds[name]]
        cpu_s = statistics.median(each.cpu_s for each in rounds[name])
        worker_s = statistics.median(each.worker_cpu_s for each in rounds[name])
        print(
            f"  {name:16} {statistics.median(times):6.2f} s   (from {min(times):.2f} to {max(times):.2f})"
            f"   CPU {cpu_s:.2f} s, of Great Expectations {worker_s:.2f} s"
        )
    for name in names[1:]:
        pairs = list(zip(rounds[name], rounds["no gate"], strict=True))
        share = statistics.median(gated.seconds / bare.seconds for gated, bare in pairs) - 1
        cpu_share = statistics.median(gated.cpu_s / bare.cpu_s for gated, bare in pairs) - 1
        # Great Expectations works beside the load, on another core where there is one: told, and no cost of the gate.
        worst = max(share, cpu_share) if name == "gate" else cpu_share
        met = "met" if worst < SHARE_MAX else "missed"
        print(f"  {name:16} {share:6.0%} more time, {cpu_share:.0%} more CPU of the load; bar {SHARE_MAX:.0%}: {met}")
    for sentence in gx.sentences() if (gx := rounds[names[-1]][-1].gx) else ():
        print(f"  {sentence}")


async def _load(pool: PostgresPool, source: BinanceBulkFiles, files: list[BulkFile], name: str) -> Round:
    async with pool.acquire() as connection:
        await connection.execute("truncate market_data_ohlcv, market_data_trades, market_data_quarantine; checkpoint")
    writer = PostgresWriter(pool, "binance")
    gate = gate_of({kind: shipped_suite(kind) for kind in KINDS})
    port = EmbeddedPort(quiet=True)
    audit = LoadAudit(gate, port if name == "gate and audit" else None, "not asked for")
    store = writer if name == "no gate" else GatedRows(writer, PostgresQuarantine(pool, "binance"), gate, audit)
    begin, cpu_s, worker_s = time.perf_counter(), time.process_time(), _ended_children_s()
    for file in files:
        if file.key.channel == "trade":
            async with aclosing(source.trades(file)) as trades:
                async for chunk in trades:
                    await store.put_trades(chunk, source="file")
        else:
            async with aclosing(source.klines(file)) as klines:
                async for rows in klines:
                    await store.put_klines(rows, source="file")
    gx = await audit.finish()
    taken, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_s
    await port.close()
    return Round(taken, cpu_s, _ended_children_s() - worker_s, gx)


def _ended_children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _publish_klines(folder: Path, rows: int) -> list[BulkFile]:
    """Days of minutes as Binance's numbers look."""
    until_ms = FROM_MS + max(1, rows // 1440) * DAY_MS
    files = BinanceBulkFiles().covering(Key("kline", BITCOIN, "1m"), FROM_MS, until_ms)
    for file in files:
        lines = [_kline_line(open_ms) for open_ms in range(file.first_ms, file.until_ms, MINUTE_MS)]
        _publish(folder, file, lines)
    return files


def _kline_line(open_ms: int) -> str:
    number = open_ms // MINUTE_MS
    price, volume = Decimal(f"{60_000 + number % 7919}.{number % 100:02}"), Decimal(f"{number % 1000 + 1}.12345")
    quote, half = price * volume, volume / 2
    return (
        f"{open_ms},{price}000000,{price}000000,{price}000000,{price}000000,{volume}000,{open_ms + MINUTE_MS - 1},"
        f"{quote},1234,{half},{price * half},0"
    )


def _publish_trades(folder: Path, rows: int) -> list[BulkFile]:
    """One day of trades."""
    file = BinanceBulkFiles().covering(Key("trade", BITCOIN), FROM_MS, FROM_MS + DAY_MS)[0]
    step_ms = DAY_MS / rows
    _publish(
        folder,
        file,
        [
            f"{3_000_000_000 + number},{60_000 + number % 79}.{number % 100:02}000000,0.{number % 1000 + 1:05}000,"
            f"{number % 1000}.12345678,{FROM_MS + int(number * step_ms)},{'True' if number % 2 else 'False'},True"
            for number in range(rows)
        ],
    )
    return [file]


def _publish(folder: Path, file: BulkFile, lines: list[str]) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{file.name.removesuffix('.zip')}.csv", "\n".join([*lines, ""]))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{file.name}.CHECKSUM").write_text(f"{checksum}  {file.name}\n")
