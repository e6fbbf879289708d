"""What the reading asks of the outside, and how: programmes without any input or output of their own.

A programme is a generator that yields a question and is sent the answer. So one of it does for the blocking client and
for the asynchronous one, which only differ in how they answer. Whoever answers raises an `Away` to the user and keeps
the question: every question only reads, and may be asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

Found = TypeVar("Found")


class StoreCommand(Struct, frozen=True):
    """Answered by the reply as the user's Redis client gives it, whatever its settings are."""

    words: tuple[str | int, ...]
    is_optional: bool = False
    """Answered in any case, with None where the store cannot be read."""


class ApiRequest(Struct, frozen=True):
    """A GET of the collector's HTTP side, answered by an `ApiAnswer`: of status 200, or 404, or one of `BUSY`.

    404 stands for: nothing is stored of the symbol, or its exchange is not collected there.
    """

    path: str
    query: Mapping[str, str | int]
    names: Sequence[str] = ()
    """Of the columns of CSV: the first line of its answer has them, and is no part of the `body`."""
    is_last_try: bool = False
    """Whoever answers raises `ApiAway` then, instead of an answer that says "not now"."""
    in_pieces: bool = False
    """CSV of a whole range, answered by some of its lines."""
    behind: int = 0
    """The answer whose range goes on. Where that is not there any more, the request stands for itself."""
    is_optional: bool = False
    """Answered in any case, with status 503 where nobody answers."""


BUSY = frozenset({429, 503})


class ApiAnswer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    number: int = 0
    """To go on behind it; 0 at the end of a range."""


class DatabaseCopy(Struct, frozen=True):
    """Answered by what PostgreSQL copies out: CSV without a line of names."""

    query: str
    arguments: tuple[str | int, ...]
    take: Callable[[bytes], None] | None = None
    """Gets it instead, piece by piece and while the rest is on its way. Not to be asked again: it may have some."""


class Notice(Struct, frozen=True):
    """A `SilentSeries` to warn of."""

    sentence: str


class Clock(Struct, frozen=True):
    """Answered by seconds of a clock that never goes back."""


class WaitUntil(Struct, frozen=True):
    """A moment of that clock; answered then."""

    at_s: float


TRIES = 6
"""Of a request that is answered by "not now": 15 seconds in all."""

PAUSE_S = 1.0
"""After the first of them; it grows by as much."""

Question = StoreCommand | ApiRequest | DatabaseCopy | Notice | Clock | WaitUntil

Plan = Generator[Question, object, Found]
"""A programme, or a part of one, that ends with what was found."""


def ask_store(*words: str | int) -> Plan[object]:
    """A command that only reads."""
    return (yield StoreCommand(words))


def ask_api(path: str, query: Mapping[str, str | int], names: Sequence[str] = ()) -> Plan[ApiAnswer]:
    """A GET, as it was answered in the end."""
    number = 1
    while True:
        answer = yield ApiRequest(path, query, names, number == TRIES)
        assert isinstance(answer, ApiAnswer), "that is what a request is answered by"
        if answer.status not in BUSY:
            return answer
        yield from pause(number * PAUSE_S)
        number += 1


def ask_database(query: str, *arguments: str | int, take: Callable[[bytes], None] | None = None) -> Plan[bytes]:
    """What a query selects."""
    answer = yield DatabaseCopy(query, arguments, take)
    assert isinstance(answer, bytes), "that is what a copy is answered by"
    return answer


def ask_clock() -> Plan[float]:
    """Seconds, to wait by."""
    answer = yield Clock()
    assert isinstance(answer, float), "that is what a clock tells"
    return answer


def pause(length_s: float) -> Plan[None]:
    """Go on later."""
    yield WaitUntil((yield from ask_clock()) + length_s)
