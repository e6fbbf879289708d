"""Reads what the collector stored, as a stranger would: with redis-py, by the names of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Protocol, TypedDict

import redis


class Gap(TypedDict):
    """The contract's gap entry, without `recorded_at`."""

    symbol: str
    channel: str
    interval: str | None
    first: int | str
    last: int | str
    count: int
    reason: str
    rules: list[str]


class Entry(TypedDict):
    """One stream entry."""

    id: str
    fields: dict[str, str]


class Client(Protocol):
    """What is used of redis-py, with types."""

    def ping(self) -> object: ...

    def close(self) -> None: ...

    def execute_command(self, *words: str | bytes | int) -> object: ...


class Store:
    """A store at an address; keys are named without what is put before them."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self.url = url
        self.prefix = prefix
        self._client: Client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=10, retry=None)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def answers(self) -> bool:
        """Whether the server is there and takes commands."""
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def ask(self, *words: str | bytes | int) -> object:
        """Any command."""
        return self._client.execute_command(*words)

    def keys(self, pattern: str) -> list[str]:
        """Names as they are, sorted."""
        found = self.ask("KEYS", pattern)
        assert isinstance(found, list)
        return sorted(found)

    def text(self, key: str) -> str | None:
        """The value of a string key."""
        found = self.ask("GET", self.prefix + key)
        assert found is None or isinstance(found, str)
        return found

    def hash(self, key: str) -> dict[str, str]:
        """A whole hash."""
        found = self.ask("HGETALL", self.prefix + key)
        assert isinstance(found, dict)
        return found

    def length(self, key: str) -> int:
        """Entries of a stream; 0 where there is none."""
        found = self.ask("XLEN", self.prefix + key)
        assert isinstance(found, int)
        return found

    def entries(self, key: str) -> list[Entry]:
        """All entries of a stream, oldest first."""
        return [Entry(id=entry_id, fields=fields) for entry_id, fields in self._range(key)]

    def records(self, key: str) -> list[dict[str, object]]:
        """The field `data` of all entries; numbers with a point stay the text that they are."""
        return [parsed(fields["data"]) for _, fields in self._range(key)]

    def tail_id(self, symbol: str) -> int:
        """The newest trade id in `trades:`; -1 where there is none."""
        newest = self.ask("XREVRANGE", f"{self.prefix}trades:{symbol}", "+", "-", "COUNT", 1)
        assert isinstance(newest, list)
        return int(newest[0][0].partition("-")[2]) if newest else -1

    def gaps(self, symbol: str, channel: str) -> list[Gap]:
        """What is declared as missing, oldest first."""
        declared: list[Gap] = [json.loads(fields["data"]) for _, fields in self._range(f"gaps:{symbol}")]
        return [gap for gap in declared if gap["channel"] == channel]

    def _range(self, key: str) -> Iterator[tuple[str, dict[str, str]]]:
        found = self.ask("XRANGE", self.prefix + key, "-", "+")
        assert isinstance(found, list)
        yield from found


def number(text: str) -> object:
    """As `parsed` has it: one without decimals is an integer."""
    found: object = json.loads(text, parse_float=str)
    return found


def parsed(text: str) -> dict[str, object]:
    """A JSON object whose decimal numbers are kept as text, so that no digit is lost in the comparison."""
    record: dict[str, object] = json.loads(text, parse_float=str)
    return record
