"""GET /completeness and /gaps against a real store, with what the collector writes and remembers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count

import pytest
import redis

from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Key
from data_collector.model.status import Snapshot
from data_collector.model.wire import gap_json, kline_json, open_time_text, trade_json
from data_collector.pipeline.gaps.ledger import Ledger
from tests.contract.http_service import HttpService, running, write_snapshot
from tests.integration.waiting import until
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, kline, trade

SYMBOLS = [SYMBOL, "ETHUSDT", "BNBUSDT"]
NOON_S = NOON_MS / 1000
TRADES = Key("trade", SYMBOL)
AT = "2024-01-01T12:30:00.000+00:00"


@pytest.fixture(scope="module")
def one_service(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), snapshot_of(address)) as service:
        yield service


@pytest.fixture
def service(one_service: HttpService, store: redis.Redis, address: str) -> HttpService:
    remember(one_service, address, lambda _: None)
    return one_service


def snapshot_of(address: str) -> Snapshot:
    return Snapshot(
        condition="healthy", collector_running=True, symbols=SYMBOLS, channels=["trade", "ticker"], store_url=address,
        redis_url=address,
    )  # fmt: skip


def remember(service: HttpService, address: str, tell: Callable[[Ledger], None], *, seconds: float = 1.0) -> None:
    """What the collector remembers: a ledger whose clock goes on by `seconds` each time that it is read."""
    times = count(NOON_S, seconds)
    ledger = Ledger(lambda: next(times))
    tell(ledger)
    snapshot = snapshot_of(address)
    snapshot.gaps = ledger.status()
    write_snapshot(service.folder, snapshot)
    asked = service.questions()
    # An answer is given again for a moment; the next question is about this one.
    until(lambda: service.get("/health").status == 200 and service.questions() > asked)


def put_trades(store: redis.Redis, *ids: int, symbol: str = SYMBOL) -> None:
    for trade_id in ids:
        content = trade_json(trade(trade_id, symbol=symbol), json.dumps(symbol))
        store.xadd(f"trades:{symbol}", {"data": content}, id=f"{NOON_MS}-{trade_id}")


def declare(
    store: redis.Redis, first: int, last: int, reason: GapReason, rules: tuple[str, ...] = (), *, epoch: str = "0"
) -> None:
    gap = Gap(first, last, last - first + 1, reason, rules)
    content = gap_json(TRADES, gap, AT)
    store.xadd(f"gaps:{SYMBOL}", {"data": content, "epoch": epoch})


def series(service: HttpService, path: str = f"/completeness?symbol={SYMBOL}") -> dict[str, object]:
    answer = service.get(path)
    assert answer.status == 200, answer.text
    (symbol,) = json.loads(answer.body)["symbols"]
    trades = symbol["trades"]
    assert isinstance(trades, dict)
    return trades


def test_channels_whose_numbers_jump_are_named_as_not_provable(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 100)

    assert json.loads(service.get("/completeness").body)["not_provable"] == ["ticker"]


def test_stream_without_a_hole_is_proven_complete(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, *range(100, 110))

    found = series(service)

    assert (found["first"], found["last"], found["held"], found["proven"]) == (100, 109, 10, True)
    assert found["percentage"] == 100.0


def test_declared_ranges_are_part_of_the_proof_and_lower_the_percentage(
    service: HttpService, store: redis.Redis
) -> None:
    put_trades(store, 100, 101, 104, 105, 110)
    declare(store, 102, 103, "lost")
    declare(store, 106, 107, "absent")
    declare(store, 108, 109, "refused", ("price_positive",))

    found = series(service)

    assert found["proven"] is True
    assert (found["lost"], found["absent"], found["refused"], found["skipped"]) == (2, 2, 2, 0)
    assert found["percentage"] == 55.555555
    assert found["explanation"] == "5 held + 6 declared in gaps: = 11 trades from first to last."


def test_gaps_of_an_epoch_that_nobody_has_begun_hide_no_honest_ones_and_are_told(
    service: HttpService, store: redis.Redis
) -> None:
    store.set(f"collector:epoch:{SYMBOL}", "0")
    put_trades(store, 100, 101, 104)
    declare(store, 102, 103, "lost")
    for epoch in ("7", "x"):
        declare(store, 1, 1, "lost", epoch=epoch)

    assert series(service)["explanation"] == (
        "3 held + 2 declared in gaps: (not counted: 1 there of an epoch that nobody has begun) = 5 trades from first "
        "to last."
    )
    assert [gap["first"] for gap in json.loads(service.get("/gaps").body)["gaps"]] == [102]
    assert service.get(f"/gaps/{SYMBOL}-trade-1-epoch-7").status == 404


def test_hole_that_nobody_declares_is_told_as_what_it_is(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 100, 101, 105)

    found = series(service)

    assert (found["proven"], found["unexplained"]) == (False, 3)
    assert found["explanation"] == "3 held + 0 declared in gaps: are 3 fewer than the 6 trades from first to last."


def test_entry_that_somebody_deleted_breaks_the_proof(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, *range(100, 110))
    store.xdel(f"trades:{SYMBOL}", f"{NOON_MS}-105")

    assert series(service)["unexplained"] == 1


def test_refused_records_at_the_end_are_accounted_for(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 100, 101)
    store.xadd(f"trades:{SYMBOL}", {"data": "refused"}, id=f"{NOON_MS}-103")
    store.xdel(f"trades:{SYMBOL}", f"{NOON_MS}-103")
    declare(store, 102, 103, "refused")

    found = series(service)

    assert (found["last"], found["proven"], found["refused"]) == (103, True, 2)


def test_trimmed_stream_counts_from_what_it_still_holds(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, *range(100, 103), *range(110, 120))
    declare(store, 103, 109, "lost")
    store.xtrim(f"trades:{SYMBOL}", maxlen=5, approximate=False)

    found = series(service)

    assert (found["first"], found["held"], found["lost"], found["proven"]) == (115, 5, 0, True)


def test_one_lost_record_of_many_is_never_a_hundred_percent(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 1, 2, 1_000_000_000)
    declare(store, 3, 3, "lost")
    declare(store, 4, 999_999_999, "absent")

    found = series(service)

    assert (found["proven"], found["percentage"]) == (True, 75.0)


def test_symbol_without_a_trade_is_not_proven(service: HttpService) -> None:
    found = series(service)

    assert (found["first"], found["proven"], found["percentage"]) == (None, False, None)
    assert found["explanation"] == "No trade is stored yet."


def test_symbol_that_is_not_collected_is_not_found(service: HttpService) -> None:
    answer = service.get("/completeness?symbol=DOGEUSDT")

    assert (answer.status, "DOGEUSDT is not collected" in answer.text) == (404, True)


def test_symbols_come_in_pages(service: HttpService) -> None:
    first = service.get("/completeness?limit=2").json
    second = service.get(f"/completeness?limit=2&cursor={first['next_cursor']}").json

    assert [names(first), names(second)] == [SYMBOLS[:2], SYMBOLS[2:]]
    assert second["next_cursor"] is None
    assert service.get("/completeness?cursor=NOBODY").status == 422


def names(page: dict[str, object]) -> list[str]:
    symbols = page["symbols"]
    assert isinstance(symbols, list)
    return [symbol["symbol"] for symbol in symbols]


def test_klines_are_counted_by_the_calendar(service: HttpService, store: redis.Redis) -> None:
    for minute in (0, 1, 4, 5):
        content = kline_json(kline(minute), json.dumps(SYMBOL))
        store.xadd(f"stream:{SYMBOL}", {"data": content})
    gap = Gap(NOON_MS + 2 * MINUTE_MS, NOON_MS + 3 * MINUTE_MS, 2, "absent")
    store.xadd(f"gaps:{SYMBOL}", {"data": gap_json(Key("kline", SYMBOL, "1m"), gap, AT)})

    (symbol,) = json.loads(service.get(f"/completeness?symbol={SYMBOL}&klines=1").body)["symbols"]

    found = symbol["klines"]["1m"]
    assert (found["expected"], found["held"], found["absent"], found["proven"]) == (6, 4, 2, True)
    assert found["percentage"] == 100.0
    assert found["first"] == open_time_text(NOON_MS)


def test_klines_of_all_symbols_at_once_are_refused(service: HttpService) -> None:
    assert service.get("/completeness?klines=1").status == 422


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/gaps?state=foo", "There is no such parameter here; there are symbol, limit."),
        ("/gaps?limit=2&limit=3", "limit: given more than once."),
        ("/completeness?symbol=BTCUSDT&kline=1", "there are symbol, limit, cursor, klines."),
        ("/completeness?cursor=zzz", "The cursor is not one that a page before has given."),
        ("/completeness?symbol=BTCUSDT&cursor=zzz", "The cursor goes on a list of symbols"),
        ("/trades/BTCUSDT?before=3", "There is no such parameter here"),
    ],
)
def test_parameter_that_means_nothing_is_refused(service: HttpService, path: str, told: str) -> None:
    answer = service.get(path)

    assert answer.status == 422
    assert told in str(answer.json["detail"])


def test_route_without_parameters_takes_what_probes_add(service: HttpService) -> None:
    assert service.get("/health/live?now=1").status == 200


def test_healing_is_told_with_sources_and_times(service: HttpService, address: str) -> None:
    def tell(ledger: Ledger) -> None:
        ledger.opened(TRADES, 1, 10)
        ledger.healed(TRADES, 1, 4, "spool")
        ledger.healed(TRADES, 5, 10, "rest")
        ledger.opened(TRADES, 20, 21)

    remember(service, address, tell)

    (symbol,) = json.loads(service.get(f"/completeness?symbol={SYMBOL}").body)["symbols"]
    assert symbol["healed"] == {"spool": 4, "rest": 6}
    assert symbol["heal_time"]["gaps"] == 1
    assert symbol["heal_time"]["p50_s"] <= symbol["heal_time"]["max_s"]
    assert [(gap["id"], gap["missing"]) for gap in symbol["open_gaps"]] == [(f"{SYMBOL}-trade-20", 2)]


def test_gaps_of_the_store_and_of_the_collector_are_one_list(
    service: HttpService, store: redis.Redis, address: str
) -> None:
    def tell(ledger: Ledger) -> None:
        ledger.given_up(TRADES, 102, 103, "lost")
        ledger.opened(TRADES, 200, 209)

    declare(store, 50, 50, "refused", ("price_positive",))
    declare(store, 102, 103, "lost")
    remember(service, address, tell)

    page = json.loads(service.get("/gaps").body)

    assert [(gap["id"], gap["state"]) for gap in page["gaps"]] == [
        (f"{SYMBOL}-trade-200", "open"),
        (f"{SYMBOL}-trade-50", "declared"),
        (f"{SYMBOL}-trade-102", "given_up"),
    ]
    assert page["gaps"][1]["rules"] == ["price_positive"]
    assert page["gaps"][2]["recorded_at"] == AT
    assert json.loads(service.get("/gaps?symbol=ethusdt").body) == {"count": 0, "gaps": []}


def test_refused_gap_names_its_rules_before_and_after_the_store_declares_it_with_its_neighbours(
    service: HttpService, store: redis.Redis, address: str
) -> None:
    """Until a record passes nothing is declared; then refused neighbours are one range, wider than each life."""

    def tell(ledger: Ledger) -> None:
        for trade_id in (300, 301):
            ledger.given_up(TRADES, trade_id, trade_id, "refused", rules=("price_cap",))

    remember(service, address, tell)
    before = json.loads(service.get("/gaps").body)["gaps"]
    declare(store, 300, 301, "refused", ("price_cap",))
    after = json.loads(service.get(f"/gaps/{SYMBOL}-trade-300").body)

    assert [(gap["given_up"], gap["rules"]) for gap in before] == [({"refused": 1}, ["price_cap"])] * 2
    assert after["gap"]["rules"] == ["price_cap"]
    assert any(event["text"].endswith("them. Broken rules: price_cap.") for event in after["events"])


def test_life_of_a_gap_is_told_in_plain_words(service: HttpService, store: redis.Redis, address: str) -> None:
    def tell(ledger: Ledger) -> None:
        ledger.opened(TRADES, 1201, 1210)
        ledger.noted(TRADES, "rest_asked")
        ledger.healed(TRADES, 1201, 1208, "rest")
        ledger.given_up(TRADES, 1209, 1210, "absent")

    remember(service, address, tell)
    declare(store, 1209, 1210, "absent")

    story = json.loads(service.get(f"/gaps/{SYMBOL}-trade-1201").body)

    assert story["gap"]["state"] == "given_up"
    assert [event["text"] for event in story["events"]] == [
        "Seen: 10 trades (1201 to 1210) missing.",
        "Asked the exchange's REST side.",
        "8 trades came from the exchange's REST side.",
        "2 trades (1209 to 1210) passed over as absent: the exchange itself has none.",
        f"Recorded in gaps:{SYMBOL}: 2 trades (1209 to 1210) absent.",
    ]
    assert "8 came from the exchange's REST side, 2 passed over as absent" in story["summary"]


def test_gap_that_only_the_store_knows_has_a_short_story(service: HttpService, store: redis.Redis) -> None:
    declare(store, 7, 9, "skipped")

    story = json.loads(service.get(f"/gaps/{SYMBOL}-trade-7").body)

    assert story["gap"]["state"] == "declared"
    assert [event["text"] for event in story["events"]] == [f"Recorded in gaps:{SYMBOL}: 3 trades (7 to 9) skipped."]


def test_gap_of_klines_is_found_by_its_open_time(service: HttpService, address: str) -> None:
    remember(service, address, lambda ledger: ledger.opened(Key("kline", SYMBOL, "1m"), NOON_MS, NOON_MS + MINUTE_MS))

    story = json.loads(service.get(f"/gaps/{SYMBOL}-1m-2024-01-01T12:00:00").body)

    assert (story["gap"]["state"], story["gap"]["first"]) == ("open", "2024-01-01T12:00:00+00:00")


@pytest.mark.parametrize("gap_id", ["BTCUSDT-trade-999", "nonsense", "BTCUSDT-1m-2024-99-01T12:00:00", "a/b-trade-1"])
def test_unknown_gap_is_not_found_with_a_sentence(service: HttpService, gap_id: str) -> None:
    answer = service.get(f"/gaps/{gap_id}")

    assert answer.status == 404
    assert str(answer.json["detail"]).endswith(".")


def test_entries_of_somebody_else_are_passed_over(service: HttpService, store: redis.Redis) -> None:
    store.xadd(f"gaps:{SYMBOL}", {"data": "not ours"})
    store.xadd(f"gaps:{SYMBOL}", {"text": "not ours either"})

    assert json.loads(service.get("/gaps").body)["count"] == 0


def test_key_of_another_type_is_a_sentence(service: HttpService, store: redis.Redis) -> None:
    store.set(f"trades:{SYMBOL}", "text")

    answer = service.get("/completeness")

    assert (answer.status, "refused to read" in answer.text) == (503, True)


def test_ten_thousand_declared_ranges_are_counted(service: HttpService, store: redis.Redis) -> None:
    put_trades(store, 0)
    pipeline = store.pipeline(transaction=False)
    for number in range(1, 20_001, 2):
        gap = Gap(number, number, 1, "refused", ("price_positive",))
        content = gap_json(TRADES, gap, AT)
        pipeline.xadd(f"gaps:{SYMBOL}", {"data": content})
        record = f'{{"trade_id":{number + 1},'
        pipeline.xadd(f"trades:{SYMBOL}", {"data": record}, id=f"{NOON_MS}-{number + 1}")
    pipeline.execute()

    found = series(service)

    assert (found["held"], found["refused"], found["proven"]) == (10_001, 10_000, True)
