"""`python -m data_collector.service.memory --fd N`: the process that the HTTP process asks, on an inherited socket.

It ends when the other side hangs up, or at once on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket

from data_collector.observe.logs import configure_logs
from data_collector.observe.output import drain

NICE = 19
"""Everything else goes first."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Read by numpy while it is imported."""


def main() -> None:
    """Remember and answer until end of file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="python -m data_collector.service.memory", description="Market Memory.")
    parser.add_argument("--fd", type=int, required=True, help="number of an inherited, connected stream socket")
    number: int = parser.parse_args().fd
    configure_logs()
    os.nice(NICE)
    os.environ.update(ONE_THREAD)

    from data_collector.service.memory.worker import serve_memory  # noqa: PLC0415 - reads the environment

    asyncio.run(serve_memory(socket.socket(fileno=number)))
    # Threads wait for news of the market; what they wrote is whole up to its last candle.
    drain()
    os._exit(0)


if __name__ == "__main__":
    main()
