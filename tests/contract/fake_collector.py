"""A collector process without a collector: it speaks the real control protocol and tells what a file says.

`python fake_collector.py FOLDER --control-fd N`. In FOLDER: `snapshot.json` is read for every answer, `pid` is
written at start, `questions` counts the answers, `exit` (a code) makes it end at once as a real one would.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from data_collector.control import Request, serve_control
from data_collector.model.status import Snapshot


async def tell(folder: Path, connection: socket.socket) -> None:
    """Answer until the HTTP process hangs up."""
    questions = 0
    stopped = False

    async def answer(request: Request) -> Snapshot:
        nonlocal questions, stopped
        questions += 1
        # In one step, because a test may be reading.
        (folder / "questions.new").write_text(str(questions))
        (folder / "questions.new").replace(folder / "questions")
        stopped = request.action == "stop" or (stopped and request.action != "start")
        snapshot = msgspec.json.decode((folder / "snapshot.json").read_bytes(), type=Snapshot)
        if stopped:
            snapshot.condition, snapshot.collector_running = "degraded", False
            snapshot.reasons = ["stopped by operator"]
        return snapshot

    await serve_control(connection, answer, lambda: None)
    (folder / "stopped").write_text("in order")


def main() -> int:
    """Play the collector."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    # Renamed, so that nobody reads half of it.
    (folder / "pid.new").write_text(str(os.getpid()))
    (folder / "pid.new").rename(folder / "pid")
    if (folder / "exit").exists():
        sys.stderr.write("A sentence that says what is wrong.\n")
        return int((folder / "exit").read_text())
    connection = socket.socket(fileno=int(sys.argv[sys.argv.index("--control-fd") + 1]))
    asyncio.run(tell(folder, connection))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
