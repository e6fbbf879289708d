"""The volume-weighted average price of each minute, with Pathway. Killed at any time, it goes on where it was.

A trade that comes late changes its minute: that is what `revisions=True` is for. Needs an environment with
`pip install 'btc-data-collector[pathway]'`; what has been counted lies in the folder vwap-state.

Usage: pathway_vwap.py

A line tells a minute that has changed. Minutes that changed together are told in any order, and all that are known
come first. The folder is of one market: each plain `make demo` is a new one, and `make demo ARGS=--keep` goes on.
"""

import argparse
import logging
import os
from contextlib import suppress
from datetime import timedelta

import pathway as pw

import data_collector.client.adapters.pathway  # noqa: F401 - pw.io.redis exists now

argparse.ArgumentParser().parse_args()
store = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
trades = pw.io.redis.read(store, stream="trades:BTCUSDT", revisions=True)
of_minutes = trades.with_columns(
    minute=pw.this.timestamp.dt.floor(timedelta(minutes=1)), value=pw.this.price * pw.this.quantity
)
minutes = of_minutes.groupby(pw.this.minute).reduce(
    pw.this.minute,
    vwap=pw.reducers.sum(pw.this.value) / pw.reducers.sum(pw.this.quantity),
    trades=pw.reducers.count(),
)


def told(key: pw.Pointer, row: dict[str, object], time: int, is_addition: bool) -> None:
    if is_addition:
        print(f"{row['minute']:%H:%M}  {row['vwap']:.2f}  of {row['trades']} trades", flush=True)


pw.io.subscribe(minutes, on_change=told)
logging.disable(logging.INFO)  # Pathway tells there what each read and write was.
with suppress(KeyboardInterrupt):
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("vwap-state")),
    )
