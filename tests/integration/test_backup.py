"""`data-collector backup` and `restore`: what comes back is what was there, and a collector goes on with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from data_collector.model.errors import Misconfigured
from data_collector.model.store_url import parse_store_url
from data_collector.service.backup.folder import FoundBackup
from data_collector.sinks.redis.connection import StoreConnection
from data_collector.sinks.redis.copies import copying, lines
from data_collector.sinks.redis.copies.copying import KeyCopier
from tests.integration.backups import PREFIXES, backed_up, everything, fill, restored
from tests.integration.command import finished
from tests.integration.exactness import assert_trades_exact
from tests.integration.postgres_server import execute, fresh_database, rows
from tests.integration.processes import Exchange, collecting, run_to_end, variables
from tests.integration.store_reader import Store
from tests.integration.test_collector_kills import SYMBOLS, first_trades, settle
from tests.integration.waiting import until

MISCONFIGURED = 78
PROGRAM = (sys.executable, "-m", "data_collector")


async def test_backup_while_trades_flow_goes_on_elsewhere_without_a_gap(
    market: Exchange, tmp_path: Path, database: str, database_server: str
) -> None:
    begun, later = tmp_path / "begun", tmp_path / "later"
    with collecting(begun, market, database_url=database, postgres_trades="1") as collector:
        first_trades(collector)
        wanted = variables(begun, market, database_url=database)
        copied = run_to_end([*PROGRAM, "backup", "--out", str(tmp_path / "copy")], tmp_path, wanted)
        assert copied.code == 0, copied.output
    certificate = FoundBackup(tmp_path / "copy").certificate
    assert certificate.collecting == ["binance"]
    with fresh_database(database_server) as other:
        wanted = variables(later, market, database_url=other)
        put = run_to_end([*PROGRAM, "restore", str(tmp_path / "copy")], tmp_path, wanted)
        assert put.code == 0, put.output
        assert certificate.store is not None
        held = {each.symbol: each.streams["trades"] for each in certificate.store.symbols}

        with collecting(later, market, database_url=other, postgres_trades="1") as collector:
            store = collector.embedded_store()
            until(
                lambda: all(store.tail_id(symbol) > int(str(held[symbol].last).partition("-")[2]) for symbol in SYMBOLS)
            )
            settle(market, store)
            for symbol in SYMBOLS:
                assert assert_trades_exact(store, symbol, market.trades(symbol)) == []
                assert store.entries(f"trades:{symbol}")[0]["id"] == held[symbol].first
                ids = [(record["trade_id"],) for record in store.records(f"trades:{symbol}")]
                query = f"select trade_id from market_data_trades where symbol = '{symbol}' order by 1"
                until(lambda: rows(other, query) == ids, "all trades in PostgreSQL", output=collector.told)  # noqa: B023


async def test_all_of_a_store_comes_back_and_nothing_else(store: Store, tmp_path: Path) -> None:
    fill(store)
    certificate = await backed_up(store, tmp_path / "copy")
    before, info = everything(store), store.ask("XINFO", "STREAM", "late:BTCUSDT")
    until(lambda: store.text("kline:BTCUSDT:1m:2024-01-01T00:01:00+00:00") is None, "the end of a key")
    store.ask("FLUSHALL")

    outcome = await restored(store, tmp_path / "copy")

    for key in ("latest:ETHUSDT", "collector:writer:abc", "unrelated", "kline:BTCUSDT:1m:2024-01-01T00:01:00+00:00"):
        before.pop(key, None)
    assert everything(store) == before
    assert outcome.expired == 1
    told, kept = (
        store.ask("XINFO", "STREAM", "late:BTCUSDT"),
        ("last-generated-id", "entries-added", "max-deleted-entry-id"),
    )
    assert isinstance(told, dict)
    assert isinstance(info, dict)
    assert [told[name] for name in kept] == [info[name] for name in kept]
    assert 0 < int(str(store.ask("TTL", "kline:BTCUSDT:1m:2024-01-01T00:00:00+00:00"))) <= 600
    # What was read and not acknowledged is read again.
    assert store.ask("XREADGROUP", "GROUP", "readers", "me", "STREAMS", "stream:BTCUSDT", ">")
    assert certificate.store is not None
    held = {each.symbol: each for each in certificate.store.symbols}["BTCUSDT"]
    assert (held.epoch, held.streams["trades"].entries, held.streams["trades"].missing) == ("1", 7, 2)
    assert certificate.store.left_out == ["latest:ETHUSDT"]
    assert (tmp_path / "home/suites/trade.json").read_text() == "{}"


async def test_stream_that_is_trimmed_while_it_is_read_has_no_hole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ENTRIES_PER_PAGE", 3)
    fill(store)
    added = lines.SumOfEntries.add

    def trim(*given: object) -> None:
        monkeypatch.setattr(lines.SumOfEntries, "add", added)
        added(*given)  # type: ignore[arg-type]
        store.ask("XTRIM", "trades:BTCUSDT", "MAXLEN", 2)

    monkeypatch.setattr(lines.SumOfEntries, "add", trim)
    certificate = await backed_up(store, tmp_path / "copy")

    assert certificate.store is not None
    held = {each.symbol: each for each in certificate.store.symbols}["BTCUSDT"].streams["trades"]
    assert (held.entries, held.first, held.last) == (2, "1006-8", "1007-9")


async def test_state_says_no_more_than_its_streams_hold(store: Store) -> None:
    """Whatever is written while a symbol is being copied."""
    fill(store)

    class Lines:
        """Each write of the copy is answered with one of the collector."""

        text = b""
        count = 5

        async def write(self, lines: bytes) -> None:
            self.text += lines
            self.count += 1
            store.ask("XADD", "stream:BTCUSDT", f"{self.count}-0", "data", "{}")
            store.ask("HSET", "collector:klines:BTCUSDT", "entry", f"{self.count}-0")

        def mark(self) -> object:
            return len(self.text)

        async def rewind(self, mark: object) -> None:
            raise AssertionError

    lines, connection = Lines(), await StoreConnection.connect(parse_store_url(store.url))
    copier = KeyCopier(connection, PREFIXES, lines)
    (owner,) = [each for each in await copier.owners() if each.symbol == "BTCUSDT"]
    held = await copier.copy_symbol(owner)
    connection.close()

    fields = [json.loads(line) for line in lines.text.splitlines() if b"collector:klines" in line]
    assert fields[0]["fields"][-1] == held.streams["stream"].last


async def test_rows_come_back_with_every_digit_and_cursors_go_on(
    store: Store, tmp_path: Path, pool: object, database: str, database_server: str
) -> None:
    fill(store)
    execute(
        database,
        "insert into market_data_trades (exchange, symbol, trade_id, timestamp, price, quantity, source, warnings)"
        " values ('binance', 'BTCUSDT', 7, '2024-01-01 00:00:00.123456+00', 1.10000, 0.00000001, '', '{a,\"b,c\"}')",
        "insert into market_data_cursors (exchange, name, position) values ('binance', 'here/0 trades:BTCUSDT', '1-7')",
        "insert into market_data_gaps (exchange, symbol, channel, first, last, count, reason)"
        " values ('binance', 'BTCUSDT', 'trade', 8, 9, 2, 'lost')",
    )
    certificate = await backed_up(store, tmp_path / "copy", dsn=database)
    store.ask("FLUSHALL")
    query = "select trade_id, price::text, quantity::text, timestamp::text, source, warnings from market_data_trades"
    with fresh_database(database_server) as other:
        await restored(store, tmp_path / "copy", dsn=other)

        assert rows(other, query) == rows(database, query)
        assert rows(other, "select name, position from market_data_cursors") == [("there/0 trades:BTCUSDT", "1-7")]
        store.ask("FLUSHALL")
        with pytest.raises(Misconfigured, match="holds rows already"):
            await restored(store, tmp_path / "copy", dsn=other)
        assert store.keys("*") == []
        execute(other, "update market_data_trades set price = 2")
        await restored(store, tmp_path / "copy", dsn=other, replace=True)
        assert rows(other, query) == rows(database, query)
    assert certificate.database is not None
    assert [(each.rows, each.first, each.gaps, each.missing) for each in certificate.database.series] == [
        (1, "7", 1, 2)
    ]


async def test_tables_of_an_earlier_version_are_brought_up_to_date(
    store: Store, tmp_path: Path, pool: object, database: str, database_server: str
) -> None:
    fill(store)
    execute(database, "insert into market_data_epochs values ('binance', 'BTCUSDT', 1)")
    execute(database, "delete from market_data_migrations where version > 6")
    await backed_up(store, tmp_path / "copy", dsn=database)
    store.ask("FLUSHALL")
    with fresh_database(database_server) as other:
        await restored(store, tmp_path / "copy", dsn=other)

        newest = rows(database_server, "select 1") and rows(other, "select max(version) from market_data_migrations")
        assert newest == [(9,)]
        assert rows(other, "select symbol, epoch from market_data_epochs") == [("BTCUSDT", 1)]


@pytest.mark.slow
async def test_stopped_service_is_backed_up_with_its_spool_and_settings_without_secrets(
    market: Exchange, tmp_path: Path
) -> None:
    home = tmp_path / "var"
    with collecting(home, market) as collector:
        first_trades(collector, count=5)
    settings = {"VAR_DIR": str(home), "CONTROL_TOKEN": "canary-token", "EXCHANGES": "binance", "FLUSH_MS": "2"}

    copied = await finished(tmp_path, "backup", "--out", "copy", "--json", **settings)
    nowhere = await finished(tmp_path, "backup", "--out", "none", VAR_DIR=str(tmp_path / "empty"))
    put = await finished(tmp_path, "restore", "copy", VAR_DIR=str(tmp_path / "later"))
    other = {"REST_URL": "http://127.0.0.1:1", "WS_URL": "ws://127.0.0.1:1", "PORT": "0"}
    mixed = await finished(tmp_path, "run", VAR_DIR=str(tmp_path / "later"), **other)

    assert f"Restored into the embedded store in {tmp_path}/later/live, read again" in put.output
    assert "their trades must not mix" in mixed.errors
    assert (mixed.code, "Traceback" in mixed.errors) == (MISCONFIGURED, False), mixed.errors
    assert copied.code == 0, copied.errors
    certificate = json.loads(copied.output)
    assert certificate["collecting"] == []
    spools = [file["name"] for file in certificate["files"] if file["name"].startswith("spool/binance/")]
    assert spools
    assert sorted(path.name for path in (tmp_path / "later/live/spool").iterdir()) == [
        Path(name).name for name in spools
    ]
    text = (tmp_path / "copy/settings.env").read_text()
    assert "FLUSH_MS=2" in text
    assert "canary-token" not in text
    assert (nowhere.code, put.code) == (MISCONFIGURED, 0)
    assert "nothing to back up" in nowhere.errors
    assert "found equal to the certificate" in put.output
