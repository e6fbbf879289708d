"""Every trade exactly once in a SQLite file, also over kill -9: stop it in any way, and start it again.

The trades of a batch and the position behind them are stored in one transaction. A trade that came twice would break
the table's key; one that nobody has comes as a `Gap`.
"""

import sqlite3
import sys
from contextlib import suppress

from data_collector.client import Client, Gap, Trade

store = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "trades.sqlite")
store.executescript("""
    create table if not exists trades (epoch, trade_id, time, price, quantity, primary key (epoch, trade_id));
    create table if not exists gaps (epoch, first, last, reason);
    create table if not exists position (place integer primary key, position);
""")
found = store.execute("select position from position").fetchone()

with suppress(KeyboardInterrupt), Client() as client:
    live = client.live("BTCUSDT:trades", start="earliest", position=found[0] if found else None)
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
        print(f"{len(trades)} trades stored, {'none' if live.is_caught_up else 'more'} wait", flush=True)
