"""Refusing to run in several processes: each would start a collector of its own."""

from __future__ import annotations

import inspect
import multiprocessing
import sys
from typing import NoReturn

import uvicorn
from uvicorn.config import STARTUP_FAILURE

SENTENCE = (
    "The service runs in one process: start uvicorn without --workers (and without WEB_CONCURRENCY). More HTTP"
    " processes would each start a collector; for more symbols the one collector opens more connections by itself.\n"
)


def refuse_workers() -> None:
    """End a worker of `uvicorn --workers N` with a sentence; uvicorn's parent then stops too.

    uvicorn tells an application nothing about its workers, but it imports the application from a method of its
    configuration, and that one knows: whether they were asked for by flag, by variable or by `uvicorn.run`.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        # --reload runs one process, whatever number of workers was asked for.
        if isinstance(caller, uvicorn.Config) and caller.workers > 1 and not caller.should_reload:
            _end_worker()
        frame = frame.f_back


def _end_worker() -> NoReturn:
    # All workers end, one of them says why.
    if multiprocessing.current_process().name.endswith("-1"):
        sys.stderr.write(SENTENCE)
    # This very code tells the parent that restarting the worker is of no use.
    raise SystemExit(STARTUP_FAILURE)
