"""The audit against a real PostgreSQL, a live store and the exchange: faults are found and healed."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from data_collector.cli.history.audit import AuditResult, audited
from data_collector.cli.history.backfill import BackfillOptions
from data_collector.history.comparison import Check
from data_collector.model.records import Kline
from data_collector.model.wire import json_text, kline_json, trade_json
from data_collector.settings import load_settings
from data_collector.simulator.control.actions import SetStatus
from tests.integration.past import START_MS, Past
from tests.integration.postgres_server import execute, rows
from tests.integration.store_reader import Store

MINUTE_MS = 60_000
NOT_THERE = "'2025-12-30 10:00+00' and '2025-12-30 10:09+00'"


@pytest.fixture
async def world(world: Past) -> Past:
    """The database holds two days of candles and trades."""
    await world.told(with_trades=True)
    return world


async def verdict_of(
    world: Past, *, exchange: bool = False, repair: bool = False, store: Store | None = None, begin: str = "2025-12-30",
    days: str = "", end: str = "now",
) -> AuditResult:  # fmt: skip
    variables = world.variables | ({} if store is None else {"REDIS_URL": store.url})
    variables |= {"RETENTION_DAYS_KLINES": days, "RETENTION_DAYS_TRADES": days} if days else {}
    wish = BackfillOptions("BTCUSDT", "1m", begin, end, with_trades=True)
    return await audited(load_settings(variables, None), wish, against_exchange=exchange, repair=repair)


def check_of(verdict: AuditResult, against: str, series: str = "BTCUSDT 1m") -> Check:
    return next(each for each in verdict.checks if (each.series, each.against) == (series, against))


async def test_database_that_holds_all_is_equal_to_calendar_exchange_and_its_own_trades(world: Past) -> None:
    verdict = await verdict_of(world, exchange=True)

    derived = check_of(verdict, "own trades")
    assert verdict.equal, verdict
    assert {each.against for each in verdict.checks} == {"calendar", "exchange", "own trades"}
    assert check_of(verdict, "exchange").compared == 2 * 1440 - 1
    assert derived.compared > 2 * 1440 - 60
    assert check_of(verdict, "exchange", "BTCUSDT trades").compared == len(
        rows(world.dsn, "select 1 from market_data_trades")
    )


async def test_missing_and_differing_rows_are_found_and_healed_by_the_exchanges_own(world: Past) -> None:
    execute(
        world.dsn,
        f'delete from market_data_ohlcv where "timestamp" between {NOT_THERE}',
        """update market_data_ohlcv set high = high + 1 where "timestamp" = '2025-12-31 07:00+00'""",
        "delete from market_data_trades where trade_id = (select max(trade_id) - 5 from market_data_trades)",
        "update market_data_trades set price = 1 where trade_id = (select max(trade_id) - 9 from market_data_trades)",
    )

    found = await verdict_of(world, exchange=True)
    healed = await verdict_of(world, exchange=True, repair=True)

    klines, trades = check_of(found, "exchange"), check_of(found, "exchange", "BTCUSDT trades")
    assert not found.equal
    assert (klines.missing, klines.differing, klines.unknown) == (10, 1, 0)
    assert klines.examples[0] == "2025-12-30T10:00:00+00:00 is missing"
    assert (trades.missing, trades.differing) == (1, 1)
    assert healed.equal, healed
    assert healed.repair is not None
    assert (healed.repair.added, healed.repair.changed) == (11, 2)
    assert rows(world.dsn, "select count(*) from market_data_ohlcv_revisions") == [(1,)]


async def test_hole_is_found_without_asking_the_exchange(world: Past) -> None:
    execute(world.dsn, f'delete from market_data_ohlcv where "timestamp" between {NOT_THERE}')

    verdict = await verdict_of(world)

    calendar = check_of(verdict, "calendar")
    assert not verdict.equal
    assert calendar.missing == 10
    assert calendar.examples == ["2025-12-30T10:00:00+00:00 to 2025-12-30T10:09:00+00:00 is missing"]


async def test_series_without_a_row_lacks_all_that_was_asked_for(world: Past) -> None:
    execute(world.dsn, "delete from market_data_ohlcv")

    verdict = await verdict_of(world, begin="2025-12-30T10:00", end="2025-12-30T12:00")
    unasked = await verdict_of(world, begin="")

    assert check_of(verdict, "calendar").missing == 120
    assert not verdict.equal
    assert check_of(unasked, "calendar").note == "nothing is stored"


async def test_series_without_a_row_lacks_what_the_live_store_has(world: Past, store: Store) -> None:
    """The history writer never wrote, and nobody names a time."""
    execute(world.dsn, "delete from market_data_ohlcv", "delete from market_data_trades")
    _put_live(world, store, trades=20, klines=3)

    verdict = await verdict_of(world, begin="", store=store)

    assert check_of(verdict, "live store").missing == 3
    assert check_of(verdict, "live store", "BTCUSDT trades").missing == 20


async def test_newest_trades_that_the_live_store_has_and_the_database_lacks_are_missing(
    world: Past, store: Store
) -> None:  # fmt: skip
    """The history writer stood still: PostgreSQL ends 7 ids before `trades:`."""
    _put_live(world, store, trades=20)
    delete_newest(world, 7)

    for begin in ("", "2025-12-30"):
        verdict = await verdict_of(world, begin=begin, store=store)
        assert not verdict.equal
        assert check_of(verdict, "calendar", "BTCUSDT trades").missing == 7
        assert check_of(verdict, "live store", "BTCUSDT trades").missing == 7
    healed = await verdict_of(world, begin="", store=store, repair=True)

    assert healed.equal, healed


async def test_newest_trades_of_the_exchange_are_missing_where_no_live_store_runs(world: Past) -> None:
    delete_newest(world, 7)

    verdict = await verdict_of(world, begin="")

    assert check_of(verdict, "calendar", "BTCUSDT trades").missing == 7


async def test_trades_of_a_newer_epoch_of_the_live_store_are_missing(world: Past, store: Store) -> None:
    """The writer stood still while ids began anew."""
    trade = world.simulator.tape("BTCUSDT")[-1]
    record = trade_json(structs.replace(trade, trade_id=0), json_text("BTCUSDT"))
    store.ask("XADD", "trades:BTCUSDT", f"{trade.time_ms + 1}-0", "data", record, "epoch", "1")

    verdict = await verdict_of(world, store=store)

    live = check_of(verdict, "live store", "BTCUSDT trades")
    assert (live.missing, live.examples) == (1, ["nothing of epoch 1 is there, which `trades:` is in"])


async def test_trades_that_were_all_deleted_are_missing_from_the_asked_time_on_and_repaired(world: Past) -> None:
    wanted = len(rows(world.dsn, """select 1 from market_data_trades where "timestamp" >= '2025-12-31 12:00+00'"""))
    execute(world.dsn, "delete from market_data_trades")

    found = await verdict_of(world, begin="2025-12-31T12:00")
    healed = await verdict_of(world, begin="2025-12-31T12:00", exchange=True, repair=True)

    assert check_of(found, "calendar", "BTCUSDT trades").missing == wanted
    assert not found.equal
    assert healed.equal, healed
    assert healed.repair is not None
    assert healed.repair.added == wanted


async def test_trades_from_the_asked_time_to_the_first_stored_one_are_missing(world: Past) -> None:
    early = """"timestamp" < '2025-12-30 12:00+00'"""
    wanted = len(rows(world.dsn, f"select 1 from market_data_trades where {early}"))
    execute(world.dsn, f"delete from market_data_trades where {early}")

    asked = await verdict_of(world)
    unasked = await verdict_of(world, begin="")

    assert check_of(asked, "calendar", "BTCUSDT trades").missing == wanted
    assert unasked.equal, unasked


async def test_weeks_that_were_all_deleted_are_missing_from_the_asked_time_on(world: Past) -> None:
    """A candle of three days opens when the exchange says so."""
    world.simulator.advance(4 * 1440 * MINUTE_MS)
    wish = BackfillOptions("BTCUSDT", "3d", "2025-12-20")

    verdict = await audited(load_settings(world.variables, None), wish, against_exchange=False, repair=False)

    assert check_of(verdict, "calendar", "BTCUSDT 3d").missing > 0


async def test_symbol_that_nobody_knows_is_refused(world: Past) -> None:
    ended = await world.run("audit", "--symbols", "BTCUSDT,NOPE", "--intervals", "1m", "--trades")

    assert ended.code == 78, ended
    assert "--symbols: the exchange does not list NOPE, and nothing is stored of it." in ended.errors


async def test_trades_outside_the_asked_times_are_not_looked_at(world: Past) -> None:
    held = """select trade_id from market_data_trades where "timestamp" {} order by 1"""
    early, late = (
        rows(world.dsn, held.format(when)) for when in ("< '2025-12-30 12:00+00'", "> '2025-12-31 12:00+00'")
    )
    execute(world.dsn, f"delete from market_data_trades where trade_id in ({early[-2][0]}, {late[1][0]})")

    verdict = await verdict_of(world, begin="2025-12-30T12:00", end="2025-12-31T12:00")

    assert check_of(verdict, "calendar", "BTCUSDT trades").missing == 0
    assert check_of(verdict, "calendar", "BTCUSDT trades").compared > 100


async def test_candle_that_its_own_trades_contradict_is_found(world: Past) -> None:
    busy = rows(world.dsn, """select "timestamp"::text from market_data_ohlcv where trades > 3 order by 1 offset 5""")[
        0
    ][0]
    execute(world.dsn, f"""update market_data_ohlcv set trades = trades + 1 where "timestamp" = '{busy}'""")

    verdict = await verdict_of(world)

    assert check_of(verdict, "own trades").differing == 1


async def test_what_the_exchange_never_had_is_not_missing(world: Past) -> None:
    await world.simulator.perform(SetStatus("BTCUSDT", "BREAK"))
    world.simulator.advance(30 * MINUTE_MS)
    await world.simulator.perform(SetStatus("BTCUSDT", "TRADING"))
    world.simulator.advance(60 * MINUTE_MS)

    before = await verdict_of(world, repair=True)
    proven = await verdict_of(world, exchange=True)

    assert before.equal, before
    assert before.repair is not None
    assert before.repair.absent == 30
    assert proven.equal, proven
    assert [check_of(each, "calendar").absent for each in (before, proven)] == [30, 30]


async def test_rows_that_are_recorded_as_absent_are_told(world: Past) -> None:
    """Three candles and five trades that the exchange itself does not have: all is equal, and not all is there."""
    first_ms = START_MS - 600 * MINUTE_MS
    (ids,) = rows(world.dsn, "select max(trade_id) - 15, max(trade_id) - 11 from market_data_trades")
    execute(
        world.dsn,
        f"""delete from market_data_ohlcv where "timestamp" in (select to_timestamp({first_ms} / 1000.0 + 60 * number)
            from generate_series(0, 2) as number)""",
        f"delete from market_data_trades where trade_id between {ids[0]} and {ids[1]}",
        f"""insert into market_data_gaps (symbol, channel, interval, first, last, count, reason) values
            ('BTCUSDT', 'kline', '1m', {first_ms}, {first_ms + 2 * MINUTE_MS}, 3, 'absent'),
            ('BTCUSDT', 'trade', '', {ids[0]}, {ids[1]}, 5, 'absent')""",
    )
    held = int(str(rows(world.dsn, "select count(*) from market_data_trades")[0][0]))

    ended = await world.run("audit", "--symbols", "BTCUSDT", "--intervals", "1m", "--trades")

    assert ended.code == 0, ended
    assert f"BTCUSDT 1m against calendar: ok, {2 * 1440 - 4:,} compared, 0 missing" in ended.output
    assert f"BTCUSDT trades against calendar: ok, {held:,} compared, 0 missing" in ended.output
    assert ended.output.splitlines()[-1] == (
        "Equal, but for what the exchange itself does not have: 3 of BTCUSDT 1m, 5 of BTCUSDT trades."
    )


async def test_what_neither_side_has_is_absent_and_recorded_by_the_repair(world: Past) -> None:
    """Nothing recorded a standstill of three minutes between two candles of the exchange."""
    await world.simulator.perform(SetStatus("BTCUSDT", "BREAK"))
    world.simulator.advance(3 * MINUTE_MS)
    await world.simulator.perform(SetStatus("BTCUSDT", "TRADING"))
    world.simulator.advance(60 * MINUTE_MS)
    await world.told(with_trades=True)
    execute(world.dsn, "delete from market_data_gaps")

    found = await verdict_of(world, exchange=True)
    healed = await verdict_of(world, exchange=True, repair=True)
    after = await verdict_of(world)

    assert found.equal, found
    assert healed.repair is not None
    assert healed.repair.absent == 3
    assert [check_of(each, "calendar").absent for each in (found, healed, after)] == [3, 3, 3]
    assert ("kline", "1m", START_MS, START_MS + 2 * MINUTE_MS, 3, "absent") in world.gaps()


async def test_candles_that_were_built_where_the_exchange_stood_still_are_taken_out_and_absent(
    world: Past, store: Store
) -> None:
    """The ids follow each other across three candles that the exchange does not have."""
    await world.simulator.perform(SetStatus("BTCUSDT", "BREAK"))
    world.simulator.advance(3 * MINUTE_MS)
    await world.simulator.perform(SetStatus("BTCUSDT", "TRADING"))
    world.simulator.advance(60 * MINUTE_MS)
    values = "101, 101, 101, 101, 0.000, 0, 0.00, 0.000, 0.00, 'built'"
    execute(
        world.dsn,
        f"""insert into market_data_ohlcv (symbol, interval, "timestamp", open, high, low, close, volume, trades,
          quote_volume, taker_buy_base_volume, taker_buy_quote_volume, source)
        select 'BTCUSDT', '1m', to_timestamp({START_MS // 1000} + 60 * number), {values}
        from generate_series(0, 2) as number""",
    )
    for minute in range(3):
        open_ms = START_MS + minute * MINUTE_MS
        built = Kline(
            "BTCUSDT", "1m", open_ms, open_ms + MINUTE_MS - 1, "101", "101", "101", "101", "0.000", "0.00", "0.000",
            "0.00", 0, is_closed=True, event_ms=open_ms + MINUTE_MS,
        )  # fmt: skip
        store.ask("XADD", "stream:BTCUSDT", "*", "data", kline_json(built, json_text("BTCUSDT")), "src", "built")
    await world.told(with_trades=True)

    found = await verdict_of(world, exchange=True, store=store)
    healed = await verdict_of(world, exchange=True, repair=True, store=store)
    again = await world.told(with_trades=True)

    assert check_of(found, "exchange").unknown == 3
    assert healed.equal, healed
    assert healed.repair is not None
    assert healed.repair.absent == 3
    assert ("kline", "1m", START_MS, START_MS + 2 * MINUTE_MS, 3, "absent") in world.gaps()
    assert rows(world.dsn, "select count(*), max(source) from market_data_ohlcv_revisions") == [(3, "built")]
    assert (again.outcome, again.added) == ("complete", 0)


async def test_what_the_retention_has_let_go_is_neither_missing_nor_fetched_again(world: Past) -> None:
    old = rows(world.dsn, """select trade_id from market_data_trades where "timestamp" < '2025-12-31' order by 1""")
    execute(
        world.dsn,
        f'delete from market_data_ohlcv where "timestamp" between {NOT_THERE}',
        f"delete from market_data_trades where trade_id = {old[-2][0]}",
    )
    from_before = await verdict_of(world, exchange=True, repair=True, days="1")
    from_first_row = await verdict_of(world, begin="", days="1")

    left = rows(world.dsn, """select 1 from market_data_trades where "timestamp" >= '2025-12-31'""")
    assert from_before.equal, from_before
    assert from_before.repair is None
    assert check_of(from_before, "exchange").compared == 1440 - 1
    assert check_of(from_before, "exchange", "BTCUSDT trades").compared == len(left)
    assert [note for note in from_before.notes if "RETENTION" in note] == [
        f"Left out what is from before 2025-12-31T00:00:00+00:00: RETENTION_DAYS_{kind}=1 keeps no older rows."
        for kind in ("KLINES", "TRADES")
    ]
    assert from_first_row.equal, from_first_row
    assert not any("RETENTION" in note for note in from_first_row.notes)


async def test_live_store_is_compared_where_it_reaches_and_the_seam_is_told(world: Past, store: Store) -> None:
    symbol = json_text("BTCUSDT")
    kept = _put_live(world, store, trades=20, klines=3)
    same = await verdict_of(world, store=store)
    _put_differing(store, kept[0], symbol)
    store.ask("XADD", "stream:BTCUSDT", "*", "data", kline_json(kept[1], symbol))
    execute(
        world.dsn, "delete from market_data_trades where trade_id = (select max(trade_id) - 5 from market_data_trades)"
    )
    differing = await verdict_of(world, store=store)

    live = check_of(differing, "live store")
    assert same.equal, same
    assert check_of(same, "live store").compared == 3
    assert check_of(same, "live store").note.startswith("history and live meet without a seam at 2025-12-31")
    assert check_of(same, "live store", "BTCUSDT trades").compared == 20
    assert (live.differing, live.doubled) == (1, 1)
    assert check_of(differing, "live store", "BTCUSDT trades").missing == 1


async def test_command_ends_with_the_verdict_as_its_exit_code(world: Past) -> None:
    words = ("audit", "--symbols", "BTCUSDT", "--intervals", "1m")
    plain = await world.run(*words)
    execute(world.dsn, f'delete from market_data_ohlcv where "timestamp" between {NOT_THERE}')
    machine = await world.run(*words, "--json")

    verdict = json.loads(machine.output)
    assert (plain.code, machine.code) == (0, 1)
    assert plain.output.splitlines()[-1] == "Equal."
    assert "BTCUSDT 1m against calendar: ok, 2,879 compared, 0 missing" in plain.output
    assert "Not compared with the live store" in plain.errors
    assert (verdict["equal"], verdict["checks"][0]["missing"]) == (False, 10)


def delete_newest(world: Past, count: int) -> None:
    """Of the stored trades."""
    newest = f"select trade_id from market_data_trades order by trade_id desc limit {count}"
    execute(world.dsn, f"delete from market_data_trades where trade_id in ({newest})")


def _put_live(world: Past, store: Store, *, trades: int, klines: int = 0) -> list[Kline]:
    """The newest of each, which the database holds too."""
    symbol = json_text("BTCUSDT")
    closed = [each for each in world.simulator.closed_klines("BTCUSDT", "1m") if each.open_ms < START_MS - MINUTE_MS]
    kept = closed[len(closed) - klines :]
    for kline in kept:
        store.ask("XADD", "stream:BTCUSDT", "*", "data", kline_json(kline, symbol))
    for trade in world.simulator.tape("BTCUSDT")[-trades:]:
        store.ask("XADD", "trades:BTCUSDT", f"{trade.time_ms}-{trade.trade_id}", "data", trade_json(trade, symbol))
    return kept


def _put_differing(store: Store, kline: Kline, symbol: str) -> None:
    """A revision: its key says something else than `stream:` does."""
    record = kline_json(kline, symbol)
    timestamp = json.loads(record)["timestamp"]
    revised = record.replace('"trades":', '"trades":1')
    store.ask("SET", f"kline:BTCUSDT:1m:{timestamp}", revised)
