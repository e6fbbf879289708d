"""Clients that abuse the API, as a process of their own: `python -m benchmarks.abuser PORT PER_S`.

Half of them begin requests and never end them, the others ask what is refused (no token, other hosts, bodies too large,
paths that lead nowhere) and what is answered, together so many times a second as is asked for. Ends when its standard
input does, and then tells how many answers of which status it got.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from itertools import cycle

LOCAL = "127.0.0.1"
UNFINISHED = b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Le"
UNFINISHED_CLIENTS = 50
CLIENTS = 8

STOP = b'{"action": "stop"}'
REQUESTS = (
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health?" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /control HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(STOP)).encode()
    + b"\r\n\r\n"
    + STOP,
    b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\n",
)

ANSWER_S = 5.0


async def abuse(port: int, per_s: float, statuses: Counter[str]) -> None:
    """Until cancelled."""
    unfinished = [await asyncio.open_connection(LOCAL, port) for _ in range(UNFINISHED_CLIENTS)]
    for _, writer in unfinished:
        writer.write(UNFINISHED)
    async with asyncio.TaskGroup() as group:
        for client in range(CLIENTS):
            group.create_task(_ask(port, CLIENTS / per_s, client, statuses))


async def _ask(port: int, every_s: float, first: int, statuses: Counter[str]) -> None:
    due_s = time.monotonic()
    requests = cycle(REQUESTS[first % len(REQUESTS) :] + REQUESTS[: first % len(REQUESTS)])
    while True:
        due_s += every_s
        await asyncio.sleep(due_s - time.monotonic())
        try:
            async with asyncio.timeout(ANSWER_S):
                statuses[await _status(port, next(requests))] += 1
        except (OSError, TimeoutError):
            statuses["none"] += 1


async def _status(port: int, request: bytes) -> str:
    reader, writer = await asyncio.open_connection(LOCAL, port)
    try:
        writer.write(request)
        words = (await reader.readline()).split(b" ")
        return words[1].decode() if len(words) > 1 else "none"
    finally:
        writer.close()


async def _run() -> None:
    statuses: Counter[str] = Counter()
    abusing = asyncio.create_task(abuse(int(sys.argv[1]), float(sys.argv[2]), statuses))
    # Ends with whoever started it.
    await asyncio.to_thread(sys.stdin.read)
    abusing.cancel()
    await asyncio.wait((abusing,))
    print(" ".join(f"{status}:{count}" for status, count in sorted(statuses.items())), flush=True)


if __name__ == "__main__":
    asyncio.run(_run())
