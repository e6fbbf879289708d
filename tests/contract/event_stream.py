"""A client of `GET /live` that hides nothing."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.contract.http_service import DEADLINE_S, HttpService


@dataclass
class Event:
    """One event."""

    name: str
    data: dict[str, object]


@dataclass
class EventClient:
    """Reads one stream."""

    status: int
    response: http.client.HTTPResponse
    lines: list[str] = field(default_factory=list)
    """Every line so far."""

    def next(self) -> Event:
        """The next event; raises `EOFError` at the end of the stream."""
        name = ""
        while True:
            line = self.response.readline().decode()
            if not line:
                raise EOFError
            self.lines.append(line.rstrip("\n"))
            if line.startswith("event: "):
                name = line.removeprefix("event: ").strip()
            if line.startswith("data: "):
                return Event(name, json.loads(line.removeprefix("data: ")))

    def first(self, name: str) -> dict[str, object]:
        """The data of the next event of that name."""
        while (event := self.next()).name != name:
            pass
        return event.data

    def ends(self) -> bool:
        """Whether the stream comes to its end."""
        try:
            while True:
                self.next()
        except (EOFError, http.client.IncompleteRead):
            return True


@contextmanager
def looking_on(service: HttpService, query: str = "", **headers: str) -> Iterator[EventClient]:
    """A viewer; `query` without the question mark."""
    place = urlsplit(service.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=DEADLINE_S)
    try:
        connection.request("GET", f"/live?{query}", headers={n.replace("_", "-"): v for n, v in headers.items()})
        response = connection.getresponse()
        yield EventClient(response.status, response)
    finally:
        connection.close()
