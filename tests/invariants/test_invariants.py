"""The invariants see what they are there for: each planted disagreement is found, and honesty is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from data_collector.api.live.events import CompletenessRow
from tests.integration.scene import Scene, playing
from tests.integration.store_reader import Store
from tests.integration.waiting import until_async
from tests.invariants.held import faults_of
from tests.invariants.lies import Fault, lies, moans
from tests.invariants.page import Verdict, Verdicts
from tests.invariants.said import Said, said_by

SYMBOL = "BTCUSDT"
SLOW_MARKET = ("have spoken",)
"""Streams of a driven market that have not yet."""


def lose_a_trade(store: Store) -> None:
    store.ask("XDEL", f"trades:{SYMBOL}", store.entries(f"trades:{SYMBOL}")[3]["id"])


def change_a_price(store: Store) -> None:
    at = store.entries(f"trades:{SYMBOL}")
    store.ask("DEL", f"trades:{SYMBOL}")
    for number, entry in enumerate(at):
        data = entry["fields"]["data"]
        data = data.replace('"price":', '"price":1') if number == 3 else data
        store.ask("XADD", f"trades:{SYMBOL}", entry["id"], "data", data)


def add_a_stranger(store: Store) -> None:
    store.ask("XADD", f"trades:{SYMBOL}", "*", "data", "{}")


def lose_a_kline(store: Store) -> None:
    closed = [each["id"] for each in store.entries(f"stream:{SYMBOL}") if _is_closed_minute(each["fields"]["data"])]
    store.ask("XDEL", f"stream:{SYMBOL}", closed[1])


def change_a_kline(store: Store) -> None:
    newest = [each["fields"]["data"] for each in store.entries(f"stream:{SYMBOL}")]
    (last,) = [data for data in newest if _is_closed_minute(data)][-1:]
    store.ask("DEL", f"stream:{SYMBOL}")
    store.ask("XADD", f"stream:{SYMBOL}", "*", "data", last.replace('"volume":', '"volume":1'))


def declare_what_is_there(store: Store) -> None:
    there = store.tail_id(SYMBOL)
    store.ask(
        "XADD", f"gaps:{SYMBOL}", "*", "data",
        f'{{"symbol":"{SYMBOL}","channel":"trade","interval":null,"first":{there},"last":{there},"count":1,'
        '"reason":"lost","rules":[]}',
    )  # fmt: skip


def _is_closed_minute(data: str) -> bool:
    return '"interval":"1m"' in data and '"is_closed":true' in data


async def said_of(scene: Scene) -> Said:
    return await said_by(scene.status, scene.store.url)


PLANTS = (lose_a_trade, change_a_price, add_a_stranger, lose_a_kline, change_a_kline, declare_what_is_there)


async def test_what_is_planted_into_the_store_behind_a_healthy_word_is_found(store: Store, folder: Path) -> None:
    async with playing(store, folder) as scene:
        await scene.subscribed()
        for _ in range(3):
            await scene.klines_closed()
        await until_async(lambda: scene.status.condition == "healthy", "health")
        said = await said_of(scene)
        assert faults_of(scene) == []
        assert lies(said, []) == moans(said, excused=SLOW_MARKET) == []
        await scene.collector.stop()
        for number, plant in enumerate(PLANTS):
            store.ask("COPY", f"trades:{SYMBOL}", f"kept:{number}")
            store.ask("COPY", f"stream:{SYMBOL}", f"kept:stream:{number}")

            plant(store)

            (fault,) = faults_of(scene)
            assert any("/health is healthy" in lie and fault.what in lie for lie in lies(said, [fault])), plant
            store.ask("RENAME", f"kept:{number}", f"trades:{SYMBOL}")
            store.ask("RENAME", f"kept:stream:{number}", f"stream:{SYMBOL}")
            store.ask("DEL", f"gaps:{SYMBOL}")
            assert faults_of(scene) == []


def verdict(answer: str) -> Verdict:
    return Verdict(answer, "", "")


YES = Verdicts(verdict("Yes"), verdict("Yes"), verdict("Yes"))
ROW = CompletenessRow(SYMBOL, 100.0, proven=True, held=9, expected=9, lost=0, healed=0, open_gaps=0)
FINE = Said("healthy", [], running=True, open_gaps=0, refused=0, rows={SYMBOL: ROW}, page=YES)
DEGRADED = structs.replace(FINE, condition="degraded", reasons=["somebody else's entry"])
OF_TRADES = Fault(SYMBOL, "trade 7 is missing")
OF_KLINES = Fault(SYMBOL, "noon is missing", "1m")
OF_PRICE = Fault(SYMBOL, "noon has another price", "1m", is_counted=False)


@pytest.mark.parametrize(
    ("said", "faults", "words"),
    [
        (FINE, [OF_TRADES], "/health is healthy"),
        (FINE, [OF_KLINES], "/health is healthy"),
        (DEGRADED, [OF_TRADES], "/completeness proves the trades of BTCUSDT"),
        (DEGRADED, [OF_TRADES], "the page says complete, and BTCUSDT"),
        (structs.replace(DEGRADED, klines_proven={"BTCUSDT 1m": True}), [OF_KLINES], "proves the klines of BTCUSDT 1m"),
        (structs.replace(FINE, condition="unhealthy"), [], "the page says live"),
        (structs.replace(FINE, running=False), [], "the page says live"),
        (structs.replace(FINE, open_gaps=1), [], "the page says complete, with 1 open gaps"),
        (structs.replace(FINE, rows={SYMBOL: structs.replace(ROW, proven=False)}), [], "the page says complete"),
        (structs.replace(FINE, refused=3), [], "the page says valid, and 3"),
    ],
)
def test_each_disagreement_of_what_is_said_is_found(said: Said, faults: list[Fault], words: str) -> None:
    assert lies(FINE, []) == []
    assert any(words in lie for lie in lies(said, faults))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (DEGRADED, "not healthy: somebody else's entry"),
        (structs.replace(FINE, rows={SYMBOL: structs.replace(ROW, proven=False)}), "trades of BTCUSDT are not proven"),
        (structs.replace(FINE, klines_proven={"BTCUSDT 1m": False}), "klines of BTCUSDT 1m are not proven"),
        (structs.replace(FINE, page=structs.replace(YES, live=verdict("No"))), "Live? No"),
        (structs.replace(FINE, page=structs.replace(YES, complete=verdict("Repairing"))), "Complete? Repairing"),
    ],
)
def test_what_is_said_to_be_wrong_when_all_is_well_is_found(said: Said, words: str) -> None:
    assert moans(FINE) == []
    assert any(words in moan for moan in moans(said))


def test_candle_with_another_price_is_in_its_place_for_who_counts() -> None:
    assert lies(structs.replace(DEGRADED, klines_proven={"BTCUSDT 1m": True}), [OF_PRICE]) == []
    assert lies(FINE, [OF_PRICE]) == ["/health is healthy, and BTCUSDT 1m: noon has another price"]
