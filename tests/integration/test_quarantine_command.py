"""`data-collector quarantine`: a user's rule refuses records, is corrected, and they come out of quarantine once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from data_collector.model.gate import Verdict
from data_collector.model.records import Record
from data_collector.model.store_url import parse_store_url
from data_collector.observe.counters import Counters
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.refusals import Refusals
from tests.contract.stores import redis_sink
from tests.integration.command import Finished, finished, put, running
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async
from tests.judging import gate_with
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, ticker, trade
from tests.retaining import in_memory

QUARANTINE, LATE = f"quarantine:{SYMBOL}", f"late:{SYMBOL}"
RAW_FRAME = '{"stream":"btcusdt@trade"'
MANY = 2_000


def write_rule(folder: Path, kind: str, column: str, **bounds: float) -> None:
    """The user's rule `price_cap` in SUITES_DIR."""
    rule = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": column, **bounds},
        "severity": "critical",
        "description": "It is as the user wants it.",
        "meta": {"rule_id": "price_cap"},
    }
    (folder / "suites").mkdir(exist_ok=True)
    (folder / "suites" / f"{kind}.json").write_text(json.dumps({"expectations": [rule]}))


async def refuse(store: Store, records: Sequence[Record], *rules: str) -> None:
    """Put into quarantine what the service would, by its own sink."""
    outlet = Outlet([SYMBOL], in_memory(SYMBOL), side_max=len(records))
    refusals = Refusals(outlet, gate_with("trade", {"max_value": 1}), Counters())
    for record in records:
        refusals.quarantine(record, Verdict(critical=rules or ("price_cap",)))
    # A writer of its own each time, or the second one's entries would be taken for the first one's sent again.
    sink = redis_sink(parse_store_url(store.url), writer=f"writer-{'-'.join(rules)}")
    await sink.open()
    await sink.write(outlet.take())
    await sink.close()


async def command(folder: Path, store: Store, *words: str, **variables: str) -> Finished:
    """`data-collector quarantine …` to its end."""
    return await finished(folder, "quarantine", *words, **_environment(folder, store), **variables)


def _environment(folder: Path, store: Store) -> dict[str, str]:
    return {"REDIS_URL": store.url, "SYMBOLS": SYMBOL, "SUITES_DIR": str(folder / "suites")}


async def replayed(folder: Path, store: Store, *words: str) -> dict[str, object]:
    """What `replay --json` tells of the first symbol."""
    ended = await command(folder, store, "replay", "--json", *words)
    assert ended.code == 0, ended.errors
    report: dict[str, object] = json.loads(ended.output)["symbols"][0]
    return report


def data_of(store: Store, stream: str) -> list[str]:
    """The record of each entry, as text."""
    return [entry["fields"]["data"] for entry in store.entries(stream)]


async def test_records_move_when_their_rule_was_corrected(tmp_path: Path, store: Store) -> None:
    write_rule(tmp_path, "trade", "price", max_value=1)
    write_rule(tmp_path, "kline", "volume", max_value=1)
    trades = [trade(number, price="45180.50000000000000000001") for number in range(3)]
    await refuse(store, [*trades, kline(0), kline(1, closed=False), ticker()])
    before = data_of(store, QUARANTINE)

    refused = await replayed(tmp_path, store)
    write_rule(tmp_path, "trade", "price", max_value=100_000)
    corrected = await replayed(tmp_path, store)
    write_rule(tmp_path, "kline", "volume", min_value=0)
    all_corrected = await replayed(tmp_path, store)

    assert refused["still_refused"] == {"count": 5, "by": {"price_cap": 5}}
    assert corrected["replayed"] == {"count": 3, "by": {"late": 3}}
    assert corrected["still_refused"] == {"count": 2, "by": {"price_cap": 2}}
    assert all_corrected["replayed"] == {"count": 2, "by": {"late": 1, "open_key": 1}}
    assert all_corrected["not_replayable"] == {"count": 1, "by": {"ticker": 1}}
    assert data_of(store, LATE) == before[:4]
    assert {entry["fields"]["why"] for entry in store.entries(LATE)} == {"replayed"}
    minute = f"kline:{SYMBOL}:1m:2024-01-01T12:0{{}}:00+00:00".format
    assert [store.text(minute(number)) for number in (0, 1)] == before[3:5]
    assert data_of(store, QUARANTINE) == before[5:]


async def test_dry_run_judges_and_writes_nothing(tmp_path: Path, store: Store) -> None:
    await refuse(store, [trade(1), trade(2, price="0")])
    before = (store.keys("*"), store.entries(QUARANTINE), store.ask("FUNCTION", "STATS"))

    ended = await command(tmp_path, store, "replay", "--dry-run")

    assert ended.code == 0
    assert "would be replayed" in ended.output
    assert "price_positive 1" in ended.output
    assert (store.keys("*"), store.entries(QUARANTINE), store.ask("FUNCTION", "STATS")) == before


async def test_replay_says_that_the_ids_stay_declared_as_refused(tmp_path: Path, store: Store) -> None:
    await refuse(store, [trade(1)])

    ended = await command(tmp_path, store, "replay")

    assert ended.output.rstrip().endswith("they are in `late:` now."), ended.output


async def test_only_what_was_refused_for_the_rule_is_replayed(tmp_path: Path, store: Store) -> None:
    await refuse(store, [trade(1)], "price_cap")
    await refuse(store, [trade(2)], "price_floor")

    report = await replayed(tmp_path, store, "--rule", "price_floor", SYMBOL.lower())

    assert (report["replayed"], report["passed_over"]) == ({"count": 1, "by": {"late": 1}}, 1)
    assert [json.loads(text)["trade_id"] for text in data_of(store, LATE)] == [2]


async def test_what_can_never_be_replayed_is_told_and_stays(tmp_path: Path, store: Store) -> None:
    address = parse_store_url(store.url)
    for key in (QUARANTINE, "quarantine:unknown"):
        await put(address, ("XADD", key, "*", "data", RAW_FRAME, "why", '[{"rule":"not_json","message":"No JSON."}]'))

    ended = await command(tmp_path, store, "replay")
    listed = await command(tmp_path, store, "list")

    assert ended.code == 0
    assert "raw_frame 1" in ended.output
    assert "unknown_symbol 1" in ended.output
    assert "stay in quarantine" in ended.output
    assert [line.split()[-2:] for line in listed.output.splitlines()] == [["not_json", RAW_FRAME]] * 2
    assert [store.length(key) for key in (QUARANTINE, "quarantine:unknown")] == [1, 1]


async def test_list_shows_the_newest_first_with_its_digits(tmp_path: Path, store: Store) -> None:
    await refuse(store, [trade(number, price="1.50") for number in range(5)])

    ended = await command(tmp_path, store, "list", SYMBOL, "--limit", "2")

    lines = ended.output.splitlines()
    assert ['"trade_id":4' in lines[0], '"trade_id":3' in lines[1], len(lines)] == [True, True, 2]
    assert all('"price":1.50,' in line and " price_cap " in line for line in lines)


async def test_empty_quarantine_is_told(tmp_path: Path, store: Store) -> None:
    for words in (("list",), ("replay",)):
        ended = await command(tmp_path, store, *words)
        assert (ended.code, ended.errors) == (0, "Nothing is in quarantine.\n")


async def test_name_that_means_nothing_is_told(tmp_path: Path, store: Store) -> None:
    """An empty symbol, a pattern, a symbol of which nothing is kept, a rule for which nothing was refused."""
    await refuse(store, [trade(1)], "price_cap")

    refused = [await command(tmp_path, store, *words) for words in (("list", ""), ("replay", "BTC*"))]
    nothing = await command(tmp_path, store, "list", "NOPE")
    no_rule = await command(tmp_path, store, "replay", "--rule", "nope")

    assert [(ended.code, "SYMBOL: " in ended.errors) for ended in refused] == [(78, True)] * 2
    assert nothing.errors == "Nothing of NOPE is in quarantine.\n"
    assert "Nothing was refused for a rule 'nope'" in no_rule.errors
    assert store.length(QUARANTINE) == 1


async def test_rules_that_cannot_be_read_move_nothing(tmp_path: Path, store: Store) -> None:
    await refuse(store, [trade(1)])
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "trade.json").write_text("{")

    ended = await command(tmp_path, store, "replay")

    assert ended.code == 78
    assert "Nothing was done." in ended.errors
    assert "Traceback" not in ended.errors
    assert store.length(QUARANTINE) == 1


async def test_key_that_somebody_else_uses_is_told(tmp_path: Path, store: Store) -> None:
    await refuse(store, [trade(1)])
    store.ask("SET", LATE, "mine")

    ended = await command(tmp_path, store, "replay")

    assert ended.code == 0
    assert f"{LATE} is a string and should be a stream: what needs this key stays in quarantine." in ended.errors
    assert "foreign_key 1" in ended.output
    assert (store.text(LATE), store.length(QUARANTINE)) == ("mine", 1)


async def test_store_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    for words in (("list",), ("replay",)):
        ended = await finished(tmp_path, "quarantine", *words, REDIS_URL="redis://127.0.0.1:1")
        assert ended.code == 69
        assert "127.0.0.1:1 does not answer" in ended.errors


async def test_database_that_is_away_takes_nothing_from_the_store(tmp_path: Path, store: Store) -> None:
    """DATABASE_URL is set and nobody listens there: the store's refusals are listed and replayed, exit 69."""
    await refuse(store, [trade(1)])
    away = "postgresql://nobody@127.0.0.1:1/nowhere"

    listed = await command(tmp_path, store, "list", DATABASE_URL=away)
    moved = await command(tmp_path, store, "replay", "--json", DATABASE_URL=away)

    assert (listed.code, moved.code) == (69, 69)
    assert '"trade_id":1' in listed.output
    assert json.loads(moved.output)["symbols"][0]["replayed"]["count"] == 1
    assert all("The store alone: " in ended.errors for ended in (listed, moved))


async def test_database_whose_login_is_unknown_takes_nothing_from_the_store(tmp_path: Path, store: Store) -> None:
    """An embedded database is set that no collector has started."""
    await refuse(store, [trade(1)])

    listed = await command(tmp_path, store, "list", DATABASE_URL="embedded")

    assert (listed.code, '"trade_id":1' in listed.output) == (69, True)
    assert "The store alone: No embedded PostgreSQL is running" in listed.errors


async def test_killed_in_the_middle_and_repeated_every_record_is_there_once(tmp_path: Path, store: Store) -> None:
    expected = await many_refused(store)
    async with running(tmp_path, "quarantine", "replay", **_environment(tmp_path, store)) as process:
        await until_async(lambda: store.length(LATE), "the first replayed record")
        process.kill()
        await process.wait()
    moved = store.length(LATE)

    report = await replayed(tmp_path, store)

    assert 0 < moved <= MANY
    left = MANY - moved
    assert report["replayed"] == {"count": left, "by": {"late": left} if left else {}}
    assert data_of(store, LATE) == expected
    assert store.length(QUARANTINE) == 0


async def test_two_replays_at_once_double_nothing(tmp_path: Path, store: Store) -> None:
    expected = await many_refused(store)

    reports = await asyncio.gather(*(replayed(tmp_path, store) for _ in range(2)))

    counts = [json.loads(json.dumps(report["replayed"]))["count"] for report in reports]
    assert sum(counts) == MANY
    assert sorted(data_of(store, LATE)) == sorted(expected)
    assert store.length(QUARANTINE) == 0


async def many_refused(store: Store) -> list[str]:
    """Trades and closed klines in quarantine; their texts."""
    trades = [trade(number, time_ms=NOON_MS + number, event_ms=NOON_MS + number) for number in range(MANY - 200)]
    await refuse(
        store, [*trades, *(kline(number, event_ms=NOON_MS + (number + 1) * MINUTE_MS) for number in range(200))]
    )
    return data_of(store, QUARANTINE)
