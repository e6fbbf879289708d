"""What comes into PostgreSQL by REST, files and repair passes the gate of the live feed, and is audited as it is."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from data_collector.cli.history.audit import AuditResult, audited
from data_collector.cli.history.backfill import BackfillOptions
from data_collector.history.events import Waiting
from data_collector.model.calendar import UtcCalendar
from data_collector.model.channels import key_of
from data_collector.model.keys import Key
from data_collector.service.loading.gated_rows import GatedRows
from data_collector.service.loading.load import Load
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.service.loading.release import Release
from data_collector.settings import load_settings
from data_collector.simulator.control.faults import RestFault
from data_collector.sinks.postgres.migrate import migrate
from data_collector.sinks.postgres.pool import open_pool
from data_collector.sinks.postgres.quarantine import PostgresQuarantine, RefusedRow
from data_collector.sinks.postgres.writing import PostgresWriter
from tests.integration.command import running
from tests.integration.past import START_MS, Past, past
from tests.integration.postgres_server import execute, rows
from tests.judging import shipped_gate
from tests.market import kline, trade

MINUTE_MS = 60_000
FROM = "2025-12-31T23:00"
FIRST_MS = START_MS - 60 * MINUTE_MS
KLINES, TRADES = "/api/v3/klines", "/api/v3/historicalTrades"

KEPT = "select channel, interval, key, rules, source, record->>'{}' from market_data_quarantine order by 1, 3"


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[Past]:
    async with past(tmp_path, database) as made:
        yield made


async def audit_of(world: Past, *, exchange: bool = False, repair: bool = False, trades: bool = False) -> AuditResult:
    wish = BackfillOptions("BTCUSDT", "" if trades else "1m", FROM, with_trades=trades)
    return await audited(load_settings(world.variables, None), wish, against_exchange=exchange, repair=repair)


async def test_candle_with_its_high_below_its_low_is_refused_kept_and_told(world: Past) -> None:
    """High 98, low 102, as the exchange itself gives it each time."""
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=3, set={"2": "98", "3": "102"}))

    first = await world.told(FROM)
    second = await world.told(FROM)
    world.simulator.faults.clear()
    verdict, against_exchange = await audit_of(world), await audit_of(world, exchange=True)

    refused_ms = FIRST_MS + 2 * MINUTE_MS
    assert (first.outcome, first.added, first.refused, first.reports[0].done) == ("complete", 58, 1, 59)
    assert first.refused_by["high_not_below_low"] == 1
    assert refused_ms not in world.stored()
    [(channel, interval, key, rules, source, high)] = rows(world.dsn, KEPT.format("high"))
    assert (channel, interval, key, source, high) == ("kline", "1m", refused_ms, "rest", "98")
    assert "high_not_below_low" in str(rules)
    assert world.gaps() == [("kline", "1m", refused_ms, refused_ms, 1, "refused")]
    assert (second.reports[0].rows, second.refused) == (0, 0)
    for check in (verdict.checks[0], against_exchange.checks[1]):
        assert (check.missing, check.refused, check.refused_by["high_not_below_low"]) == (0, 1, 1)
    assert verdict.equal
    assert against_exchange.equal


async def test_row_that_is_right_later_ends_its_refusal(world: Past) -> None:
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=3, set={"2": "98", "3": "102"}))
    await world.told(FROM)
    world.simulator.faults.clear()

    again = await world.told(FROM, again=True)

    assert (again.outcome, again.added, again.refused) == ("complete", 1, 0)
    assert len(world.stored()) == 59
    assert rows(world.dsn, KEPT.format("high")) == []
    assert world.gaps() == []


async def test_trades_without_price_or_quantity_are_refused(world: Past) -> None:
    """Price or quantity zero, as published by the exchange."""
    world.simulator.faults.add(RestFault(path=TRADES, kind="alter", row=4, set={"price": "0.00000000"}, count=1))

    ended = await world.told(FROM, intervals="", with_trades=True)
    command = await world.run("audit", "--symbols", "BTCUSDT", "--intervals", "", "--trades", "--from", FROM)

    stored = len(rows(world.dsn, "select 1 from market_data_trades"))
    [kept] = rows(world.dsn, KEPT.format("price"))
    assert (ended.outcome, ended.refused, ended.added) == ("complete", 1, stored)
    assert kept[0] == "trade"
    assert kept[-1] == "0.00000000"
    assert command.code == 0, command
    assert "0 missing, 0 doubled, 0 differing, 0 unknown, 1 refused (price_positive 1)" in command.output
    assert command.output.splitlines()[-1].startswith("Equal, but for what validation refused: 1 of BTCUSDT trades (")


async def test_rules_of_the_user_for_one_symbol_hold_for_its_past(world: Past) -> None:
    """A warning marks the row, a critical rule refuses it; the other symbol is not meant."""
    write_rules(world.folder)

    ended = await world.told(FROM, symbols="BTCUSDT,ETHUSDT")

    of_bitcoin, of_ether = ended.reports
    assert of_bitcoin.refused == of_bitcoin.refused_by["no_bitcoin"] == of_bitcoin.rows == 59
    assert (of_ether.refused, of_ether.added) == (0, 59)


async def test_wrong_rules_of_the_user_stop_the_load_before_it_begins(world: Past) -> None:
    (world.folder / "suites").mkdir()
    (world.folder / "suites" / "kline.json").write_text('{"expectations": [{"type": "expect_nothing"}]}')

    ended = await world.backfill("--from", FROM)

    assert ended.code == 78
    assert "Nothing was done. Correct the rules first." in ended.errors
    assert world.stored() == []


async def test_what_a_file_has_wrong_is_asked_of_rest_once(world: Past) -> None:
    """Files alone leave it refused; with REST beside them REST has the last word."""
    write_rules(world.folder)
    alone = await world.told("2025-12-30", "2025-12-31", source="dumps", files=world.simulator.rest_url)
    (world.folder / "suites" / "kline.json").unlink()
    again = await world.told("2025-12-30", "2025-12-31", source="auto", files=world.simulator.rest_url)

    assert (alone.outcome, alone.refused, alone.unproven) == ("complete", 1440, 0)
    assert (again.outcome, again.added, again.refused) == ("complete", 1440, 0)
    assert rows(world.dsn, "select count(*) from market_data_quarantine") == [(0,)]


async def test_repair_of_an_audit_stores_nothing_that_breaks_a_rule(world: Past) -> None:
    await world.told(FROM)
    execute(world.dsn, f"""delete from market_data_ohlcv where "timestamp" = to_timestamp({FIRST_MS // 1000 + 120})""")
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=1, set={"5": "-1"}))

    verdict = await audit_of(world, repair=True)

    assert verdict.repair is not None
    assert (verdict.repair.added, verdict.repair.refused) == (0, 1)
    assert (verdict.checks[0].refused, verdict.checks[0].refused_by["volume_not_negative"]) == (1, 1)


@pytest.mark.parametrize(("changed", "rule"), [({"2": "NaN"}, "number_text"), ({"8": 2**63}, "trades_range")])
async def test_row_that_stays_no_candle_is_refused_and_not_taken_for_an_outage(
    world: Past, changed: dict[str, object], rule: str
) -> None:  # fmt: skip
    """A price that is no number, a count that no table holds: asked for again once, then kept as it came."""
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=3, set=changed))

    ended = await world.told(FROM)
    world.simulator.faults.clear()
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=5, set=changed))
    against_exchange = await audit_of(world, exchange=True)

    assert (ended.outcome, ended.added, ended.refused) == ("complete", 58, 1)
    assert rule in ended.refused_by
    assert len([each for each in world.events if isinstance(each, Waiting)]) == 1
    assert (against_exchange.checks[1].differing, against_exchange.checks[1].refused) == (1, 1)


async def test_great_expectations_itself_checks_all_that_comes(world: Past) -> None:
    """Refused rows too; and its coverage is told in the last lines."""
    world.with_gx = True
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=3, set={"2": "98", "3": "102"}))

    ended = await world.backfill("--trades", "--from", FROM)
    machine = await world.told("2025-12-31T22:00", FROM)

    trades = len(rows(world.dsn, "select 1 from market_data_trades"))
    assert f"Great Expectations checked {trades + 59:,} of {trades + 59:,} rows." in ended.output, ended
    assert "disagree" not in ended.output
    assert "cannot evaluate" not in ended.output
    assert machine.gx is not None
    assert (machine.gx.rows, machine.gx.checked, machine.gx.reason) == (60, 60, None)
    assert machine.gx.disagreements == {}


async def test_refused_history_is_listed_and_comes_back_when_its_rule_was_corrected(world: Past) -> None:
    """Where a row came meanwhile, that one stays; what breaks a rule still stays in quarantine."""
    write_rules(world.folder)
    world.simulator.faults.add(RestFault(path=KLINES, kind="alter", row=3, set={"2": "98", "3": "102"}))
    await world.told(FROM)
    listed = await world.run("quarantine", "list", "--limit", "2")
    (world.folder / "suites" / "kline.json").unlink()
    (came,) = rows(world.dsn, "select max(key) from market_data_quarantine")
    execute(world.dsn, f"""insert into market_data_ohlcv (symbol, "timestamp", open, high, low, close, volume, interval)
        values ('BTCUSDT', to_timestamp({came[0]} / 1000), 7, 7, 7, 7, 0, '1m')""")  # fmt: skip

    dry = await world.run("quarantine", "replay", "--dry-run", "--json")
    ended = await world.run("quarantine", "replay", "BTCUSDT", "--json")

    assert [" BTCUSDT 1m  no_bitcoin  " in line for line in listed.output.splitlines()] == [True, True], listed
    [would], [did] = (json.loads(each.output)["history"] for each in (dry, ended))
    assert did == would
    assert (did["read"], did["released"], did["known"], did["still_refused"]) == (59, 57, 1, 1), ended
    assert did["still_refused_by"]["high_not_below_low"] == 1
    assert "PostgreSQL alone: No store is running" in ended.errors
    assert len(world.stored()) == 58
    assert rows(world.dsn, """select close::text from market_data_ohlcv where close = 7""") == [("7",)]
    assert [gap[2] for gap in world.gaps()] == [FIRST_MS + 2 * MINUTE_MS]
    assert rows(world.dsn, "select key from market_data_quarantine") == [(FIRST_MS + 2 * MINUTE_MS,)]


async def test_two_replays_at_once_count_each_row_once(pool: asyncpg.Pool) -> None:
    gate, quarantine = shipped_gate(), PostgresQuarantine(pool, "binance")
    audit = LoadAudit(gate, None, "not here")
    load = Load(gate, GatedRows(PostgresWriter(pool, "binance"), quarantine, gate, audit), audit)
    candles = [kline(-minute) for minute in range(100)]
    await quarantine.put([RefusedRow(key_of(each), each.open_ms, each, ("gone",), "rest") for each in candles])
    release = Release(load, quarantine, UtcCalendar(), rule=None, is_dry=False)

    both = await asyncio.gather(release.run(["BTCUSDT"]), release.run(["BTCUSDT"]))

    counts = [(report.released, report.known) for reports in both for report in reports]
    assert sum(released for released, _ in counts) == 100, counts


async def test_refused_trades_of_two_lives_of_a_market_are_kept_apart(database: str) -> None:
    pool = await open_pool(database, size=1)
    async with pool.acquire() as connection:
        await migrate(connection)
    refused = RefusedRow(Key("trade", "BTCUSDT"), 5, trade(5, price="0"), ("price_positive",), "rest")
    await PostgresQuarantine(pool, "binance").put([refused])
    execute(database, "insert into market_data_epochs (symbol, epoch) values ('BTCUSDT', 1)")
    second = PostgresQuarantine(pool, "binance")
    await second.put([refused])
    both = rows(database, "select epoch, key from market_data_quarantine order by 1")
    await second.settle(refused.key, [5])
    await pool.close()

    assert both == [(0, 5), (1, 5)]
    for table in ("market_data_quarantine", "market_data_gaps"):
        assert rows(database, f"select epoch from {table}") == [(0,)]


async def test_week_of_another_day_is_refused_in_the_place_of_its_monday_and_stays_there(
    pool: asyncpg.Pool, database: str
) -> None:
    """A week from Wednesday to Wednesday in the place of that of 1 January: every rule of one candle lets it pass."""
    gate, quarantine = shipped_gate(), PostgresQuarantine(pool, "binance")
    audit = LoadAudit(gate, None, "not here")
    load = Load(gate, GatedRows(PostgresWriter(pool, "binance"), quarantine, gate, audit), audit)
    monday_ms = kline(-720).open_ms
    odd = kline(-720 + 2 * 1_440, interval="1w")

    loaded = await load.rows.put_odd({monday_ms: odd}, source="rest")
    (report,) = await Release(load, quarantine, UtcCalendar(), rule=None, is_dry=False).run(["BTCUSDT"])

    assert loaded.refused == {("open_time_off_grid",): 1}
    assert (report.released, report.still_refused_by) == (0, {"open_time_off_grid": 1})
    assert rows(database, KEPT.format("open_ms")) == [
        ("kline", "1w", monday_ms, ["open_time_off_grid"], "rest", str(odd.open_ms))
    ]


async def test_ctrl_c_does_not_wait_for_great_expectations(world: Past) -> None:
    world.with_gx = True

    async with running(world.folder, *world.words("--from", FROM, "--json"), **world.variables) as process:
        assert process.stdout is not None, "it is a pipe"
        while json.loads(await process.stdout.readline())["event"] != "series":
            pass
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()

    ended = json.loads(output.splitlines()[-1])
    assert (process.returncode, ended["outcome"], ended["added"]) == (0, "complete", 59), errors
    assert (ended["gx"]["checked"], ended["gx"]["reason"]) == (0, "the load was stopped")


async def test_load_without_great_expectations_says_so(world: Past) -> None:
    ended = await world.backfill("--from", FROM)

    assert "Great Expectations checked 0 of 59 rows: GX_AUDIT=0." in ended.output


def write_rules(folder: Path) -> None:
    """A user's rule that no candle of BTCUSDT keeps."""
    condition = {"type": "comparison", "column": {"name": "symbol"}, "operator": "==", "parameter": "BTCUSDT"}
    rule = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "close", "max_value": 0.001, "row_condition": condition},
        "severity": "critical",
        "description": "There is no bitcoin.",
        "meta": {"rule_id": "no_bitcoin"},
    }
    (folder / "suites").mkdir()
    (folder / "suites" / "kline.json").write_text(json.dumps({"expectations": [rule]}))
