"""`python -m data_collector.validation.audit --fd N`: the audit worker, which answers on an inherited socket.

It ends when the other side hangs up, or at once on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket

from data_collector.observe.logs import configure_logs

NICE = 10
"""Whatever handles messages goes first."""

ENVIRONMENT = {
    # Version 1.24 sends nothing anywhere; earlier ones did.
    "GX_ANALYTICS_ENABLED": "false",
    # Columns of some thousand rows are not worth a thread.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Read by the libraries while they are imported."""


def main() -> None:
    """Answer until end of file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parser = argparse.ArgumentParser(prog="python -m data_collector.validation.audit", description="The audit worker.")
    parser.add_argument("--fd", type=int, required=True, help="number of an inherited, connected stream socket")
    number: int = parser.parse_args().fd
    configure_logs()
    os.nice(NICE)
    os.environ.update(ENVIRONMENT)

    from data_collector.validation.audit.worker import serve  # noqa: PLC0415 - two seconds, and reads the environment

    asyncio.run(serve(socket.socket(fileno=number)))


if __name__ == "__main__":
    main()
