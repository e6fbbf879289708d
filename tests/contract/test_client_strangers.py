"""`api=` names something else, or what stands between cuts an answer: never "nothing is stored"."""

from __future__ import annotations

import gzip
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from data_collector.client import ApiAway, Client, WrongQuestion
from data_collector.client.answering import http
from data_collector.client.reading.questions import ApiRequest
from data_collector.client.reading.rows import TRADE_COLUMNS
from data_collector.sinks.redis.sink import RedisSink
from tests.contract import stores
from tests.contract.client_items import TRADES, told
from tests.contract.stores import Reader
from tests.market import SYMBOL

NAMES = f"{','.join(TRADE_COLUMNS)}\n".encode()
ROWS = b"".join(b"BTCUSDT,2024-01-01T12:00:00.000+00:00,%d,1,1,,,,ws,\n" % number for number in range(3))

STRANGER = "with status {}, and not as a collector's HTTP side does: name that with api="
CUT = "does not answer .*IncompleteRead"


class Stranger:
    """Says the same to everybody, byte by byte, and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        stranger = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(stranger.answer)

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(body: bytes, head: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {head}\r\nContent-Length: {size}\r\n\r\n".encode() + body


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


@pytest.fixture(scope="module")
def server() -> Iterator[Stranger]:
    stranger = Stranger()
    yield stranger
    stranger.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = b"HTTP/1.0 200 OK\r\n\r\n"
NO_SYMBOL = b'{"detail":"BTCUSDT is not collected, and nothing of it is stored."}'

WRONG = {
    "page that is not there": (answer(b"<html>", "404 Not Found"), STRANGER.format(404)),
    "another service of ours": (answer(b'{"detail":"Not Found"}', "404 Not Found"), STRANGER.format(404)),
    "page": (answer(b"<html>\nhello\n"), STRANGER.format(200)),
    "gzip": (answer(gzip.compress(NAMES + ROWS)), STRANGER.format(200)),
    "nothing": (answer(b""), STRANGER.format(200)),
    "nothing at all": (answer(b"", "204 No Content"), STRANGER.format(204)),
    "elsewhere": (answer(b"", "302 Found\r\nLocation: http://127.0.0.1"), STRANGER.format(302)),
    "other columns": (answer(b"symbol,price\nBTCUSDT,1\n"), STRANGER.format(200)),
    "cut": (answer(NAMES + ROWS[:60], length=len(NAMES + ROWS)), CUT),
    "cut between lines": (CHUNKED + chunk(NAMES + ROWS), CUT),
    "end that is not told": (ENDLESS + NAMES + ROWS, "do not tell where they end"),
}


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_answer_of_a_collector_is_no_history(server: Stranger, case: str, in_pieces: bool) -> None:
    """A web server, the validation service, a proxy that sends its own page, compresses or breaks off."""
    server.answer, sentence = WRONG[case]

    with closing(http.Api(server.url)) as api, pytest.raises(ApiAway, match=rf"{server.url}.* {sentence}"):
        read(api, in_pieces=in_pieces)


@pytest.mark.parametrize("in_pieces", [False, True])
def test_answer_of_a_collector_is_rows_without_their_names(server: Stranger, in_pieces: bool) -> None:
    """Of one that answers the whole at once, and of one that has nothing of the time, or of the symbol."""
    with closing(http.Api(server.url)) as api:
        for text, rows in (
            (answer(NAMES + ROWS), ROWS),
            (CHUNKED + chunk(NAMES + ROWS) + chunk(b""), ROWS),
            (answer(NAMES), b""),
            (answer(NO_SYMBOL, "404 Not Found"), NO_SYMBOL),
        ):
            server.answer = text
            assert read(api, in_pieces=in_pieces) == rows


def read(api: http.Api, *, in_pieces: bool, behind: int = 0) -> bytes:
    """All of an answer."""
    number, body = behind, b""
    while True:
        found = api.get(ApiRequest(f"/trades/{SYMBOL}", {}, TRADE_COLUMNS, in_pieces=in_pieces, behind=number))
        number, body = found.number, body + found.body
        if not number:
            return body


def test_range_that_is_cut_between_two_pieces_is_not_whole(server: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for anew, and the rest is not there."""
    monkeypatch.setattr(http, "PIECE_BYTES", 60)
    server.answer = answer(NAMES + ROWS, length=len(NAMES + ROWS) + 60)
    with closing(http.Api(server.url)) as api:
        first = api.get(ApiRequest(f"/trades/{SYMBOL}", {}, TRADE_COLUMNS, in_pieces=True))
        assert first.body
        server.answer = answer(b"")
        with pytest.raises(ApiAway, match=STRANGER.format(200)):
            read(api, in_pieces=True, behind=first.number)


async def test_hole_that_a_stranger_is_asked_about_is_no_gap(
    server: Stranger, address: str, reader: Reader, sink: RedisSink
) -> None:
    """The position stays before it, and the collector tells what was there."""
    server.answer = answer(b'{"detail":"Not Found"}', "404 Not Found")
    await sink.write(stores.trades(1, 2))
    with Client(address, api=server.url, database="") as client:
        with client.live(TRADES, start="earliest") as live:
            assert told((live.poll(0) or pytest.fail("a live stream has no end")).items) == [1, 2]
            position = live.position
            await sink.write(stores.trades(3, 9))
            reader.client.xtrim(f"trades:{SYMBOL}", maxlen=1, approximate=False)
            with pytest.raises(ApiAway, match=STRANGER.format(404)):
                live.poll(0)
            assert live.position == position
        with pytest.raises(ApiAway, match=STRANGER.format(404)):
            client.klines(SYMBOL, "1m", start="-1h").read()


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "127.0.0.1:8001"])
def test_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(WrongQuestion, match="is no address of a collector; write one such as"):
        http.Api(url)
