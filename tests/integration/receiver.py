"""A receiver of alerts: what the library posts to `json://`, taken or refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from msgspec import Struct


class Taken(Struct):
    """A message as it came."""

    title: str
    message: str
    type: str


class Receiver:
    """On a free port of this machine; `is_up` decides whether it takes what comes."""

    def __init__(self, port: int) -> None:
        self.url = f"json://watchman:canarypassword@127.0.0.1:{port}/canarytoken"
        self.messages: list[Taken] = []
        self.is_up = True
        self.came = threading.Event()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen until the end."""

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.is_up:
                receiver.messages.append(msgspec.json.decode(body, type=Taken))
                receiver.came.set()
            self.send_response(200 if receiver.is_up else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Post)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
