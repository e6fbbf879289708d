"""The backfill against an exchange of our own and a real PostgreSQL: exactly what is missing."""

from __future__ import annotations

import json
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from msgspec import structs

from data_collector.cli.history.backfill import BackfillOptions, filled
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.history import retrying
from data_collector.history.events import Planned, Waiting
from data_collector.history.retrying import Stopping
from data_collector.model.calendar import DAY_MS
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.model.keys import Key
from data_collector.observe.logs import get_log
from data_collector.settings import load_settings
from data_collector.simulator.control.actions import SetStatus
from data_collector.simulator.control.faults import RestFault
from data_collector.venues.binance.bulk_names import day_file
from tests.bulk_archives import laid_out, published
from tests.integration.command import running
from tests.integration.past import PAST, START_MS, Past, past
from tests.integration.postgres_server import execute, rows

MINUTE_MS = 60_000
TWO_DAYS = 2 * 1440
FROM_MS = START_MS - TWO_DAYS * MINUTE_MS

KLINES = "/api/v3/klines"


async def test_only_missing_ranges_are_filled_with_the_exchanges_own_candles(world: Past) -> None:
    first = await world.told()
    execute(world.dsn, f"""delete from market_data_ohlcv where "timestamp" between to_timestamp({FROM_MS // 1000 + 600})
        and to_timestamp({FROM_MS // 1000 + 1200})""")  # fmt: skip
    second = await world.told()

    assert first.outcome == "complete"
    assert world.stored() == list(range(FROM_MS, START_MS - MINUTE_MS, MINUTE_MS))
    assert (second.outcome, second.added) == ("complete", 11)
    expected = {each.open_ms: each for each in world.simulator.closed_klines("BTCUSDT", "1m")}
    query = """select (extract(epoch from "timestamp") * 1000)::bigint, open::text, high::text, low::text, close::text,
        volume::text, trades, source from market_data_ohlcv where trades > 0 order by 1"""
    assert rows(world.dsn, query) == [
        (each.open_ms, each.open, each.high, each.low, each.close, each.volume, each.trades, "rest")
        for each in expected.values() if FROM_MS <= each.open_ms < START_MS - MINUTE_MS
    ]  # fmt: skip


async def test_trades_and_every_kind_of_interval_come_too(world: Past) -> None:
    ended = await world.told(symbols="BTCUSDT,ETHUSDT", intervals="1m,1h,3d,1d,1w,1M", with_trades=True)

    trades = rows(world.dsn, "select symbol, trade_id, price::text from market_data_trades order by 1, 2")
    assert ended.outcome == "complete", ended
    assert trades == [
        (symbol, each.trade_id, each.price)
        for symbol in ("BTCUSDT", "ETHUSDT") for each in world.simulator.tape(symbol) if each.time_ms >= FROM_MS
    ]  # fmt: skip
    assert world.stored(interval="1h") == list(range(FROM_MS, START_MS - 60 * MINUTE_MS, 60 * MINUTE_MS))


async def test_trades_of_a_symbol_that_was_not_traded_for_a_day_come_too(tmp_path: Path, database: str) -> None:
    """Its 24-hour statistics then say `"lastId":-1,"count":0`."""
    async with past(tmp_path, database, structs.replace(PAST, trades_per_s=0.0)) as world:
        world.simulator.advance(2 * DAY_MS)
        ended = await world.told(intervals="", with_trades=True)

        query = "select trade_id from market_data_trades order by 1"
        stored = [trade_id for (trade_id,) in rows(database, query)]
        assert ended.outcome == "complete"
        assert stored == [each.trade_id for each in world.simulator.tape("BTCUSDT") if each.time_ms >= FROM_MS]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_broken_off_it_goes_on_where_it_was(world: Past, how: signal.Signals) -> None:
    world.simulator.faults.add(RestFault(path=KLINES, delay_s=0.2))
    times = 2 if how == signal.SIGKILL else 1
    endings = [await world.broken_off(how, after_rows=500) for _ in range(times)]
    before = len(world.stored())
    world.simulator.faults.clear()
    last = await world.told()

    assert 500 <= before < TWO_DAYS - 1
    assert last.added == TWO_DAYS - 1 - before
    assert world.stored() == list(range(FROM_MS, START_MS - MINUTE_MS, MINUTE_MS))
    if how == signal.SIGINT:
        assert [code for code, _ in endings] == [130]
        assert json.loads(endings[0][1].splitlines()[-1])["outcome"] == "stopped"


async def test_hole_of_the_exchange_is_recorded_once_and_not_asked_for_again(world: Past) -> None:
    await world.simulator.perform(SetStatus("BTCUSDT", "BREAK"))
    world.simulator.advance(30 * MINUTE_MS)
    await world.simulator.perform(SetStatus("BTCUSDT", "TRADING"))
    world.simulator.advance(60 * MINUTE_MS)
    first = await world.told()
    asked = world.requests()
    second = await world.told()

    assert (first.outcome, first.absent) == ("complete", 30)
    assert world.gaps() == [("kline", "1m", START_MS, START_MS + 29 * MINUTE_MS, 30, "absent")]
    assert (second.outcome, second.added, second.absent) == ("complete", 0, 0)
    # The clock and the list of symbols.
    assert world.requests() - asked == 2


async def test_range_that_begins_or_ends_in_a_hole_of_the_exchange_is_proven_too(world: Past) -> None:
    await world.simulator.perform(SetStatus("BTCUSDT", "BREAK"))
    world.simulator.advance(30 * MINUTE_MS)
    await world.simulator.perform(SetStatus("BTCUSDT", "TRADING"))
    world.simulator.advance(60 * MINUTE_MS)

    inside = await world.told("2026-01-01T00:10", "2026-01-01T00:20")
    beginning = await world.told("2026-01-01T00:20", "2026-01-01T00:40")

    assert (inside.outcome, inside.absent, inside.added) == ("complete", 10, 0)
    assert (beginning.outcome, beginning.absent, beginning.added) == ("complete", 10, 10)


async def test_time_before_the_first_candle_ever_is_absent(world: Past) -> None:
    before = await world.told("2025-12-01", "2025-12-20")
    across = await world.told("2025-12-20", "2025-12-31")
    again = await world.told("2025-12-01", "2025-12-31")

    first_ms = world.stored()[0]
    assert (before.outcome, before.added, before.absent) == ("complete", 0, 19 * 1440)
    assert (across.outcome, across.absent) == ("complete", (first_ms - (FROM_MS - 10 * 86_400_000)) // MINUTE_MS)
    assert (again.outcome, again.added, again.absent) == ("complete", 0, 0)


async def test_what_rest_refuses_is_tried_again_and_told(world: Past) -> None:
    world.simulator.faults.add(RestFault(path=KLINES, status=503, count=2))
    world.simulator.faults.add(RestFault(path="/api/v3/time", status=500, count=1))

    ended = await world.told()

    waits = [each.reason for each in world.events if isinstance(each, Waiting)]
    assert ended.outcome == "complete"
    assert [reason.partition(":")[0] for reason in waits] == [
        "/api/v3/time was answered with HTTP 500",
        *["/api/v3/klines was answered with HTTP 503"] * 2,
    ]
    assert len(world.stored()) == TWO_DAYS - 1


async def test_series_that_fails_is_told_and_the_others_go_on(world: Past) -> None:
    world.simulator.faults.add(RestFault(path="/api/v3/historicalTrades", status=502))

    ended = await world.backfill("--trades", "--give-up-after", "1")

    assert ended.code == 1, ended
    assert "BTCUSDT 1m: complete, 2,879 added" in ended.output
    assert "BTCUSDT trades: failed" in ended.output
    assert "HTTP 502" in ended.output
    assert "Failed: 1 of 2 series" in ended.output


async def test_locked_table_is_told_and_given_up_when_asked_to(world: Past) -> None:
    """Somebody else's transaction holds quarantine; no statement may wait for its own minute then."""
    await world.told(end="2025-12-30T00:10")
    holder = await asyncpg.connect(world.dsn)
    await holder.execute("begin; lock table market_data_quarantine in access exclusive mode")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrying, "TOLD_S", 1.0)
        with pytest.raises(Unavailable, match="given up after 3 s"):
            await world.told(give_up_s=3.0)
    await holder.close()

    waits = [event.reason for event in world.events if isinstance(event, Waiting)]
    assert waits[0] == "no answer for 1 s"
    assert not any("60" in reason for reason in waits)


async def test_exchange_that_hangs_does_not_hold_up_ctrl_c(world: Past) -> None:
    world.simulator.faults.add(RestFault(path=KLINES, hang=True))

    async with running(world.folder, *world.words("--json"), **world.variables) as process:
        assert process.stdout is not None, "it is a pipe"
        plan = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()

    assert (plan["event"], process.returncode) == ("plan", 130)
    assert json.loads(output.splitlines()[-1])["outcome"] == "stopped"


@pytest.mark.parametrize("fault", [{"empty": True}, {"kind": "short"}, {"kind": "missing", "span": 3}])
async def test_answer_that_is_not_true_makes_nothing_absent_at_the_ends(
    world: Past, fault: dict[str, object]
) -> None:  # fmt: skip
    world.simulator.faults.add(RestFault(path=KLINES, count=2, **fault))  # type: ignore[arg-type]

    await world.told()
    world.simulator.faults.clear()
    await world.told()

    missing = TWO_DAYS - 1 - len(world.stored())
    # One answer that holds both sides is believed; one that ends early proves nothing.
    assert missing == (6 if fault.get("kind") == "missing" else 0)


@pytest.mark.parametrize("changed", [{"2": "NaN"}, {"4": "Infinity"}, {"5": "-1"}, {"3": "1\t2"}, {"8": 2**63}])
async def test_row_that_is_no_candle_is_asked_for_again_and_not_stored(
    world: Past, changed: dict[str, object]
) -> None:  # fmt: skip
    world.simulator.faults.add(RestFault(path=KLINES, count=1, kind="alter", row=3, set=changed))

    ended = await world.told("2025-12-31T23:00")

    assert (ended.outcome, ended.added) == ("complete", 59)
    query = "select max(trades) < 9999 and max(high) < 1e9 and max(close) < 1e9 and min(volume) >= 0"
    assert rows(world.dsn, f"{query} from market_data_ohlcv") == [(True,)]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"begin": "yesterday"}, "--from 'yesterday' is no time; write 2024-01-31"),
        ({"begin": "-3x"}, "write 2024-01-31, 2024-01-31T12:00, now, or -30d"),
        ({"begin": "2025-12-31", "end": "2025-12-30"}, "must be before --to"),
        ({"begin": "2199-01-01", "end": "2199-01-02"}, "lies in the future"),
        ({"symbols": "NOPEUSDT"}, "the exchange does not list NOPEUSDT"),
        ({"intervals": "7m"}, "binance has no 7m"),
        ({"intervals": ""}, "name --intervals, or give --trades"),
        ({"source": "dumps"}, "name other ones with --files"),
        ({"source": "auto", "files": "nowhere"}, "nowhere is no folder"),
    ],
)
async def test_slip_is_named_with_its_cure(world: Past, wish: dict[str, str], sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        await filled(
            load_settings(world.variables, None),
            structs.replace(BackfillOptions("BTCUSDT", "1m", "2025-12-30"), **wish), world.events.append, Stopping(),
        )  # fmt: skip


async def test_database_that_is_away_is_told_without_its_password(world: Past) -> None:
    world.dsn = "postgresql://somebody:secret@127.0.0.1:1/nothing"

    with pytest.raises(Unavailable, match=r"PostgreSQL at 127\.0\.0\.1:1/nothing does not answer") as raised:
        await world.told()

    assert "secret" not in str(raised.value)


async def test_database_that_is_not_named_is_told_with_the_cure(world: Past) -> None:
    world.dsn = ""

    with pytest.raises(Misconfigured, match=r"DATABASE_URL is not set.* Put DATABASE_URL=postgresql://"):
        await world.told()


async def test_embedded_database_is_filled_while_it_runs(world: Past, tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "live" / "postgres", log=get_log(), port=0)
    world.dsn = "embedded"

    with pytest.raises(Unavailable, match="No embedded PostgreSQL is running"):
        await world.told()
    try:
        await server.start()
        ended = await world.told()
        kept = rows(server.dsn, "select count(*) from market_data_ohlcv")
    finally:
        await server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)

    assert (ended.outcome, kept) == ("complete", [(TWO_DAYS - 1,)])


async def test_plan_only_fetches_nothing(world: Past) -> None:
    ended = await filled(
        load_settings(world.variables, None), BackfillOptions("BTCUSDT", "1m", "2025-12-30"), world.events.append,
        Stopping(), agreed=lambda plan: False,
    )  # fmt: skip

    assert ended is None
    assert [type(each) for each in world.events] == [Planned]
    assert world.stored() == []


async def test_published_files_alone_leave_what_they_lack(world: Past) -> None:
    world.simulator.advance(40 * MINUTE_MS)

    ended = await world.told(source="dumps", files=world.simulator.rest_url, with_trades=True)

    assert (ended.outcome, ended.added - ended.reports[1].added, ended.reports[0].unproven) == (
        "incomplete",
        TWO_DAYS,
        39,
    )
    assert rows(world.dsn, "select distinct source from market_data_ohlcv") == [("file",)]


async def test_files_are_enough_where_the_exchange_is_out_of_reach(
    world: Past, capsys: pytest.CaptureFixture[str]
) -> None:
    rest_url = world.simulator.rest_url
    settings = load_settings({**world.variables, "BINANCE_REST_URL": "http://127.0.0.1:1"}, None)
    wish = BackfillOptions("BTCUSDT,NOSUCH", "1m", "2025-12-30", "2026-01-01", source="dumps", files=rest_url)

    candles = await filled(settings, wish, world.events.append, Stopping())
    told = capsys.readouterr().err
    trades = await filled(
        settings, structs.replace(wish, symbols="BTCUSDT", intervals="", with_trades=True), world.events.append,
        Stopping(),
    )  # fmt: skip
    with pytest.raises(Unavailable, match="No published file of NOSUCH trades in this time can be read, and the exch"):
        await filled(
            settings, structs.replace(wish, intervals="", with_trades=True), world.events.append, Stopping()
        )  # fmt: skip

    assert candles is not None
    assert trades is not None
    assert [(each.outcome, each.added, each.unproven) for each in candles.reports] == [
        ("complete", TWO_DAYS, 0), ("incomplete", 0, TWO_DAYS)
    ]  # fmt: skip
    assert trades.outcome == "complete"
    assert rows(world.dsn, "select trade_id from market_data_trades order by 1") == [
        (each.trade_id,) for each in world.simulator.tape("BTCUSDT") if FROM_MS <= each.time_ms < START_MS
    ]
    assert told.count("\n") == 1
    assert "Files need no exchange: this machine's clock counts" in told


async def test_files_decide_over_a_symbol_that_the_exchange_does_not_list_any_more(
    world: Past, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day, symbol = datetime(2025, 12, 30, tzinfo=UTC), "LUNAUSDT"
    begin_us = int(day.timestamp()) * 10**6
    trades = "".join(f"{number},1.5,2,3,{begin_us + number},True,True\n" for number in range(7, 10))
    candles = "".join(
        f"{begin_us + minute * 60_000_000},1,2,1,2,5,{begin_us + (minute + 1) * 60_000_000 - 1},9,3,2,4,0\n"
        for minute in range(1440)
    )
    files = published(day_file(Key("trade", symbol), day), trades)
    files |= published(day_file(Key("kline", symbol, "1m"), day), candles)
    symbols, place = f"BTCUSDT,{symbol}", str(laid_out(tmp_path / "files", files))

    ended = await world.told(end="2025-12-31", symbols=symbols, files=place, source="dumps", with_trades=True)
    told = capsys.readouterr().err
    with pytest.raises(Misconfigured, match=f"does not list {symbol}; .* --source dumps takes the published files"):
        await world.told(end="2025-12-31", symbols=symbols, files=place, source="auto")

    outcomes = {each.series: (each.outcome, each.added) for each in ended.reports if symbol in each.series}
    assert set(outcomes.values()) == {("complete", 1440), ("complete", 3)}
    assert f"does not list {symbol} now: the published files alone decide" in told


async def test_files_are_taken_where_they_save_many_requests_and_rest_does_the_rest(
    tmp_path: Path, database: str
) -> None:
    month = structs.replace(PAST, history_ms=40 * DAY_MS)
    async with past(tmp_path, database, month) as world:
        world.simulator.advance(40 * MINUTE_MS)

        ended = await world.told("2025-12-01", source="auto", files=world.simulator.rest_url)

        by_source = rows(database, "select source, count(*) from market_data_ohlcv group by 1 order by 1")
        assert ended.outcome == "complete"
        assert by_source == [("file", 31 * 1440), ("rest", 39)]
