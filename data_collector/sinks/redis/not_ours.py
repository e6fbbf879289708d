"""What stands under keys of ours and is somebody else's: told until it is gone, each key with its own sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_collector.model.channels import CHANNEL_OF
from data_collector.model.keys import StoreKeys
from data_collector.model.sink import NewestUpdate, TradeRun
from data_collector.sinks.redis.calls import Call, KlinePart, PastKline, RevisedKline, SidePart
from data_collector.sinks.redis.connection import ReplyError, StoreConnection

WRONG_TYPE = "WRONGTYPE"
"""Somebody else uses a key of ours, which no waiting mends: its records are dropped and counted, others go on."""

SIDES_PER_LOOK = 300
"""Streams beside the records, of a hundred symbols: some 0.2 ms of the store's time."""

IN_A_FUNCTION = " script: "
"""The server says so of an error that a function of ours ran into: it comes from what stands under that call's keys."""


class NotOurs(dict[str, str]):
    """Key to what is wrong with it and the cure, for health."""

    def __init__(self, keys: StoreKeys) -> None:
        super().__init__()
        self._keys = keys
        self._turn = 0

    def note(self, key: str, error: ReplyError) -> None:
        """A call failed because of its keys; the functions name the one: `WRONGTYPE latest:BTCUSDT is a string …`."""
        if error.kind == WRONG_TYPE:
            self[str(error).split(" ")[1]] = f"{str(error).partition(IN_A_FUNCTION)[0]}. Delete it or rename it"
        else:
            self[key] = f"the store's function fails on what stands there ({error}). Delete it or rename it"

    def note_side(self, key: str) -> None:
        """A stream beside the records that takes no entry."""
        self[key] = f"{WRONG_TYPE} (somebody else uses it). Delete it or rename it"

    def note_stranger(self, symbol: str, entry: str) -> None:
        """An entry of somebody else is the newest one of `trades:`, or was."""
        self[self._keys.key("trades", symbol)] = (
            f"somebody else's entry {entry} is the newest, or was, and nothing is stored behind it. Delete the key: it "
            "is filled again"
        )

    def note_state(self, symbol: str, interval: str) -> None:
        """The state of a series of klines is no state of ours, or names a time that has not come."""
        self[state_name(self._keys.cursors(symbol), interval)] = (
            f"nothing of the {interval} klines is stored behind it. Delete {self._keys.cursors(symbol)} and "
            f"{self._keys.key('stream', symbol)}: both are filled again"
        )

    def forget_state(self, symbol: str, interval: str) -> None:
        """It is ours."""
        self.pop(state_name(self._keys.cursors(symbol), interval), None)

    def forget(self, keys: Iterable[str | bytes | int]) -> None:
        """They were found to be ours."""
        for key in keys:
            self.pop(str(key), None)

    async def look(self, connection: StoreConnection, sides: Sequence[str]) -> list[str]:
        """Forget what is gone, since nobody may write there, and return those of the next `sides` that are no streams.

        Raises `SinkUnavailable`.
        """
        start = self._turn if self._turn < len(sides) else 0
        self._turn = start + SIDES_PER_LOOK
        looked_at = sides[start : self._turn]
        names = sorted({key.partition(" ")[0] for key in self} | set(looked_at))
        types = dict(zip(names, await connection.execute([("TYPE", name) for name in names]), strict=True))
        for key in [key for key in self if types[key.partition(" ")[0]] == "none"]:
            del self[key]
        known = {"none", "stream"}
        return [key for key in looked_at if key not in self and isinstance(types[key], str) and types[key] not in known]

    def forget_symbol(self, symbol: str) -> None:
        """It is collected no longer."""
        for key in [key for key in self if symbol in key.partition(" ")[0].split(":")]:
            del self[key]


def state_name(cursors_key: str, interval: str) -> str:
    """How the state of one series is called there."""
    return f"{cursors_key} field {interval}"


def is_of_its_keys(error: ReplyError) -> bool:
    """Whether a call failed for what stands under its keys: others can be carried out, and this one not by waiting."""
    return error.kind == WRONG_TYPE or (error.kind == "ERR" and IN_A_FUNCTION in str(error))


def used_keys(call: Call) -> tuple[str | bytes | int, ...]:
    """Keys that a call which succeeded has found to be ours."""
    subject, command = call.subject, call.command
    match subject:
        case TradeRun():
            used = (*command[3:5], command[7])
            return used + (command[5:6] if any(call.gaps) else ()) + (command[6:7] if subject.refused else ())
        case KlinePart():
            return command[3:5]
        case NewestUpdate():
            return command[3 : 3 + int(command[2])]
        case SidePart():
            return command[4 : 4 + len(subject.entries)]
        case RevisedKline() | PastKline():
            return command[3:4]


def offered(call: Call) -> tuple[str, int]:
    """Channel and number of the records in a call."""
    match call.subject:
        case TradeRun():
            return "trade", call.subject.count
        case KlinePart():
            return "kline", len(call.subject.updates)
        case NewestUpdate():
            return CHANNEL_OF[type(call.subject.record)], 1
        case SidePart():
            return "quarantine", len(call.subject.entries)
        case RevisedKline():
            return "late", 1
        case PastKline():
            return "kline", 1
