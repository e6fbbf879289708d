"""The collector without retention: what exactness costs is measured against it. For `benchmarks.exactness` alone.

It runs the command line as `python -m data_collector` does, with a spool that keeps nothing, on disk or in memory.
"""

from __future__ import annotations

from data_collector.__main__ import main
from data_collector.model.batch import TradeRun
from data_collector.pipeline.outlet.runs import Gathering


def _keep_nothing(_gathering: Gathering, _run: TradeRun) -> None:
    """In place of gathering a run for the retention."""


if __name__ == "__main__":
    setattr(Gathering, "add", _keep_nothing)  # noqa: B010 - a method is replaced on purpose
    main()
