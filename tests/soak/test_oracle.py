"""The oracle sees what is not the exchange's: a digit, a time, a maker, a hole, a copy, a beginning that is late."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from data_collector.model.records import Trade
from data_collector.model.wire import json_text, trade_json
from tests.market import trade
from tests.soak import trade_oracle
from tests.soak.findings import Findings
from tests.soak.servers import Server
from tests.soak.trade_oracle import TradeOracle
from tests.soak.truth import Truth

FIRST = 1_000
TAPE = [structs.replace(trade(), trade_id=FIRST + number) for number in range(6)]
MAXLEN = 100

Entry = tuple[str, list[str]]


class Shelf(Server):
    """A store that has one stream."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(Path("none"), Path("none"))
        self.entries = entries

    async def ask(self, *words: str | int) -> object:
        """What the oracle asks."""
        match words[0]:
            case "XLEN":
                return len(self.entries)
            case "XREVRANGE":
                return self.entries[-1:]
        after = str(words[2])
        ids = [entry_id for entry_id, _ in self.entries]
        return self.entries[ids.index(after[1:]) + 1 :] if after.startswith("(") else self.entries


def entry(record: Trade) -> Entry:
    return f"{record.time_ms}-{record.trade_id}", ["data", trade_json(record, json_text(record.symbol))]


async def findings(stored: list[Trade], tape: list[Trade] = TAPE) -> Findings:
    """What is found when all of the tape was seen by a reader before, and this is stored now."""
    found = Findings()
    oracle = TradeOracle(Truth(TAPE[0].symbol), found)
    await oracle.follow(Shelf([entry(record) for record in tape]))
    oracle.truth.add(tape)
    oracle.resolve()
    await oracle.verify(Shelf([entry(record) for record in stored]), maxlen=MAXLEN)
    return found


async def test_exact_copy_of_the_tape_is_clean() -> None:
    assert (await findings(TAPE)).is_clean


@pytest.mark.parametrize(
    "change",
    [
        {"price": TAPE[3].price + "0"},
        {"quantity": "9" + TAPE[3].quantity},
        {"time_ms": TAPE[3].time_ms + 1},
        {"is_buyer_maker": not TAPE[3].is_buyer_maker},
    ],
)
async def test_changed_trade_is_found(change: dict[str, str | int | bool]) -> None:
    wrong = structs.replace(TAPE[3], **change)

    found = await findings([*TAPE[:3], wrong, *TAPE[4:]])

    assert (TAPE[3].symbol, TAPE[3].trade_id) in found.changed


async def test_hole_is_lost_unless_the_exchange_has_it_too() -> None:
    holed = [*TAPE[:2], *TAPE[4:]]

    assert {number for _, number in (await findings(holed)).lost} == {FIRST + 2, FIRST + 3}
    assert (await findings(holed, tape=holed)).is_clean


async def test_copy_is_doubled() -> None:
    assert len((await findings([*TAPE[:4], TAPE[3], *TAPE[4:]])).doubled) == 1


async def test_stream_that_begins_late_has_lost_its_beginning() -> None:
    assert {number for _, number in (await findings(TAPE[2:])).lost} == {FIRST, FIRST + 1}


class Trimmed(Shelf):
    """A store whose oldest four entries are trimmed once the first page has been read."""

    async def ask(self, *words: str | int) -> object:
        """What the oracle asks."""
        if words[0] != "XRANGE":
            return await super().ask(*words)
        after = int(str(words[2]).rpartition("-")[2] or 0)
        page = [each for each in self.entries if int(each[0].partition("-")[2]) > after][: int(words[5])]
        if words[5] == 2:
            self.entries = self.entries[-2:]
        return page


async def test_trades_that_were_trimmed_while_the_oracle_read_are_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_oracle, "PAGE", 2)
    found = Findings()
    oracle = TradeOracle(Truth(TAPE[0].symbol), found)
    oracle.truth.add(TAPE)

    await oracle.verify(Trimmed([entry(record) for record in TAPE]), maxlen=MAXLEN)

    assert found.is_clean
    assert oracle.verified == 4
