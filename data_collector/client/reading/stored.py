"""History where it is stored: pages of rows, of the collector's HTTP side or of PostgreSQL."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from msgspec import Struct

from data_collector.client.reading.questions import ApiAnswer, ApiRequest, Plan, ask_api
from data_collector.client.reading.rows import KLINE_COLUMNS, TRADE_COLUMNS
from data_collector.client.reading.symbols import Joined
from data_collector.client.records import ms_of
from data_collector.model.calendar import LATEST_MS, MINUTE_MS
from data_collector.model.gaps import Gap, GapReason
from data_collector.model.keys import Key
from data_collector.model.records import known_rules
from data_collector.model.wire import trade_time_text

API_PAGE_ROWS = 5000
"""As many as the HTTP side gives at once."""

GAPS_MAX = 1000
"""As many as the HTTP side tells."""

BEHIND_MS = MINUTE_MS
"""Trade times go back now and then, never by so much; and a kline that closed so long ago is stored or missing."""

Query = dict[str, str | int]


class Page(Struct, frozen=True):
    """Rows of one series, ascending."""

    text: str
    """CSV as `rows` reads it, without a line of names."""
    following: int | None
    """Trade id or open time in ms from which to go on; None when nothing follows now."""
    number: int = 0
    """Of the answer that it is a piece of."""


Declaration = tuple[str | None, int, Gap]
"""Interval, epoch and range."""


class _ToldGap(Struct):
    """One of `GET /gaps`."""

    interval: str | None
    first: int | str
    """Trade id, or open time."""
    last: int | str
    count: int
    state: str
    given_up: dict[GapReason, int]
    """Records that were passed over, by reason; the others came after all."""
    rules: list[str]
    epoch: int = 0

    @property
    def range(self) -> Gap:
        """Raises `ValueError`."""
        first, last = (
            place if isinstance(place, int) else ms_of(datetime.fromisoformat(place))
            for place in (self.first, self.last)
        )
        (reason,) = self.given_up
        return Gap(first, last, self.count, reason, known_rules(self.rules))


class _ToldGaps(Struct):
    """The answer."""

    gaps: list[_ToldGap]


class Stored(Protocol):
    """One place where history is."""

    def klines(self, key: Key, from_ms: int, to_ms: int, before: Page | None) -> Plan[Page]:
        """Closed ones that open in the stretch; `before` is the page in front of it, of the same series."""

    def trades(self, symbol: str, epoch: int, first: int, to_ms: int, before: Page | None) -> Plan[Page]:
        """Those with ids from `first` on that happened before a time."""

    def first_trade(self, symbol: str, epoch: int, from_ms: int) -> Plan[int | None]:
        """The first id whose trade did not happen before a time."""

    def last_trade(self, symbol: str, epoch: int) -> Plan[int | None]:
        """The newest id."""

    def last_kline(self, key: Key) -> Plan[int | None]:
        """The newest open time, of those that have closed."""

    def epochs(self, symbol: str) -> Plan[list[int]]:
        """Those that it knows, rising."""


class ApiStored:
    """What the collector's HTTP side gives: PostgreSQL and Redis as one series.

    The first page is a page. Who reads on is given the whole range in pieces, which is some ten times as fast.
    """

    def __init__(self, joined: Joined) -> None:
        self._joined = joined

    def klines(self, key: Key, from_ms: int, to_ms: int, before: Page | None) -> Plan[Page]:
        path, query = f"/klines/{quote(key.symbol)}", Query(interval=key.kline_interval, **_stretch(from_ms, to_ms))
        piece = None if before is None else (yield from self._piece(path, query, KLINE_COLUMNS, before))
        if piece is not None:
            return _page_of(piece, lambda row: ms_of(datetime.fromisoformat(row[1])))
        answer = yield from self._asked(path, query | {"limit": API_PAGE_ROWS}, KLINE_COLUMNS)
        following = _following(answer, "from")
        return Page(_rows(answer), None if following is None else ms_of(datetime.fromisoformat(following)))

    def trades(self, symbol: str, epoch: int, first: int, to_ms: int, before: Page | None) -> Plan[Page]:
        path, query = f"/trades/{quote(symbol)}", Query(epoch=epoch, **_stretch(0, to_ms))
        query |= {"after": first - 1} if first > 0 else {}
        piece = None if before is None else (yield from self._piece(path, query, TRADE_COLUMNS, before))
        if piece is not None:
            return _page_of(piece, lambda row: int(row[2]))
        answer = yield from self._asked(path, query | {"limit": API_PAGE_ROWS}, TRADE_COLUMNS)
        following = _following(answer, "after")
        return Page(_rows(answer), None if following is None else int(following) + 1)

    def first_trade(self, symbol: str, epoch: int, from_ms: int) -> Plan[int | None]:
        stretch = _stretch(from_ms, LATEST_MS)
        row = yield from self._row(f"/trades/{quote(symbol)}", {"epoch": epoch, **stretch}, TRADE_COLUMNS)
        return None if row is None else int(row[2])

    def last_trade(self, symbol: str, epoch: int) -> Plan[int | None]:
        row = yield from self._row(f"/trades/{quote(symbol)}", {"epoch": epoch}, TRADE_COLUMNS)
        return None if row is None else int(row[2])

    def last_kline(self, key: Key) -> Plan[int | None]:
        query = Query(interval=key.kline_interval)
        row = yield from self._row(f"/klines/{quote(key.symbol)}", query, KLINE_COLUMNS)
        return None if row is None else ms_of(datetime.fromisoformat(row[1]))

    def epochs(self, symbol: str) -> Plan[list[int]]:
        query = Query(limit=1, **_stretch(0, LATEST_MS))
        answer = yield from self._asked(f"/trades/{quote(symbol)}", query, TRADE_COLUMNS)
        return [int(text) for text in answer.headers.get("x-epochs", "0").split(",")]

    def gaps(self, symbol: str) -> Plan[list[Declaration]]:
        """What the collector remembers of gaps that are over, each of one reason; nothing while it does not answer."""
        query = Query(symbol=symbol, limit=GAPS_MAX, exchange=self._joined.exchange)
        answer = yield ApiRequest("/gaps", query, is_optional=True)
        assert isinstance(answer, ApiAnswer), "that is what a request is answered by"
        if answer.status != 200:
            return []
        try:
            told = msgspec.json.decode(answer.body, type=_ToldGaps).gaps
            return [
                (gap.interval, gap.epoch, gap.range) for gap in told if gap.state != "open" and len(gap.given_up) == 1
            ]
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return []

    def _row(self, path: str, query: Query, names: Sequence[str]) -> Plan[list[str] | None]:
        """The first one from a time on, or without one the newest."""
        rows = _rows((yield from self._asked(path, query | {"limit": 1}, names)))
        return last_row(rows) if rows else None

    def _asked(self, path: str, query: Query, names: Sequence[str]) -> Plan[ApiAnswer]:
        answer = yield from ask_api(path, self._of_rows(query), names)
        yield from self._joined.note(answer.headers.get("x-filled-from"), answer.headers.get("x-exchange"))
        return answer

    def _of_rows(self, query: Query) -> Query:
        return Query(**query, format="csv", meta=1, exchange=self._joined.exchange)

    def _piece(self, path: str, query: Query, names: Sequence[str], before: Page) -> Plan[ApiAnswer | None]:
        """None where too many read whole ranges at this moment, or there is nothing."""
        answer = yield ApiRequest(path, self._of_rows(query), names, in_pieces=True, behind=before.number)
        assert isinstance(answer, ApiAnswer), "that is what a request is answered by"
        if answer.status != 200:
            return None
        yield from self._joined.note(answer.headers.get("x-filled-from"), answer.headers.get("x-exchange"))
        return answer


def _page_of(piece: ApiAnswer, place_of: Callable[[list[str]], int]) -> Page:
    text = piece.body.decode()
    return Page(text, place_of(last_row(text)) + 1 if piece.number else None, piece.number)


def last_row(text: str) -> list[str]:
    """Of CSV with a row at least."""
    return next(csv.reader([text[text.rfind("\n", 0, -1) + 1 :]]))


def _stretch(from_ms: int, to_ms: int) -> dict[str, str]:
    """Always with a begin: without one the newest rows would come."""
    begin = {"from": trade_time_text(from_ms)}
    return begin if to_ms >= LATEST_MS else {**begin, "to": trade_time_text(to_ms)}


def _rows(answer: ApiAnswer) -> str:
    """None of what is neither collected nor stored."""
    return "" if answer.status != 200 else answer.body.decode()


def _following(answer: ApiAnswer, name: str) -> str | None:
    """What the next page is asked for with."""
    link = _NEXT.fullmatch(answer.headers.get("link", ""))
    return None if link is None else parse_qs(urlsplit(link[1]).query)[name][0]


_NEXT = re.compile('<(.*)>; rel="next"')
