"""Every trade exactly once in a SQLite file, also over kill -9: stop it in any way, and start it again.

The trades of a batch and the position behind them are stored in one transaction. A trade that came twice would break
the table's key; one that nobody has comes as a `Gap`.

Usage: resume_after_kill.py [symbol] [file]

A file is of one symbol (`trades-SYMBOL.sqlite` where none is named, with `-` for `/`) and of one market: each plain
`make demo` is a new market, and `make demo ARGS=--keep` goes on.
"""

import argparse
import sqlite3
from contextlib import suppress

from data_collector.client import Client, Gap, Trade

arguments = argparse.ArgumentParser()
arguments.add_argument("symbol", nargs="?", default="BTCUSDT")
arguments.add_argument("file", nargs="?")
asked = arguments.parse_args()
store = sqlite3.connect(asked.file or f"trades-{asked.symbol.replace('/', '-')}.sqlite")
store.executescript("""
    create table if not exists trades (epoch, trade_id, time, price, quantity, primary key (epoch, trade_id));
    create table if not exists gaps (epoch, first, last, reason);
    create table if not exists position (place integer primary key, position);
""")
found = store.execute("select position from position").fetchone()

with suppress(KeyboardInterrupt), Client() as client:
    live = client.live(f"{asked.symbol}:trades", start="earliest", position=found[0] if found else None)
    for batch in live.batches():
        trades = [item for item in batch.items if isinstance(item, Trade)]
        gaps = [item for item in batch.items if isinstance(item, Gap)]
        with store:
            store.executemany(
                "insert into trades values (?, ?, ?, ?, ?)",
                [(t.epoch, t.trade_id, t.timestamp.isoformat(), str(t.price), str(t.quantity)) for t in trades],
            )
            store.executemany(
                "insert into gaps values (?, ?, ?, ?)", [(g.epoch, g.first, g.last, g.reason) for g in gaps]
            )
            store.execute("insert or replace into position values (1, ?)", [batch.position])
        more = "none" if live.is_caught_up else "more"
        print(f"{asked.symbol}: {len(trades)} trades stored, {more} wait", flush=True)
