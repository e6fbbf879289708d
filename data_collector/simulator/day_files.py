"""The daily files of trades, as https://data.binance.vision has them: made of the tape when they are asked for. Pure.

`/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2023-11-14.zip`, and the same with `.CHECKSUM`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from datetime import UTC, datetime

from data_collector.simulator import rest_bodies as bodies
from data_collector.simulator.intervals import DAY_MS
from data_collector.simulator.market import Market

FOLDER = "/data/spot/daily/trades/"

_PATH = re.compile(FOLDER + r"(?P<symbol>[^/]+)/(?P=symbol)-trades-(?P<day>\d{4}-\d{2}-\d{2})\.zip(?P<sum>\.CHECKSUM)?")

_COLUMNS = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch")

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The same bytes whenever it is asked for, because the checksum is asked for separately."""


def day_file(market: Market, path: str) -> bytes | None:
    """What lies at a path; None where there is nothing.

    There are files of past days only, and only of those whose trades the tape has kept from the first to the last.
    """
    match = _PATH.fullmatch(path)
    day_ms = None if match is None else _day_ms(match["day"])
    if match is None or day_ms is None or day_ms + DAY_MS > market.now_ms:
        return None
    symbol = market.symbol(match["symbol"])
    if symbol is None:
        return None
    tape = symbol.tape
    start, end = tape.position_of_time(day_ms * 1000), tape.position_of_time((day_ms + DAY_MS) * 1000)
    # A tape that was cut has lost the first trades of the day that it begins in.
    if start == end or (start == 0 and tape.was_cut):
        return None
    name = f"{match['symbol']}-trades-{match['day']}"
    packed = _packed(f"{name}.csv", bodies.trade_rows(tape, start, end, 1000))
    if match["sum"]:
        return f"{hashlib.sha256(packed).hexdigest()}  {name}.zip\n".encode()
    return packed


def _day_ms(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None


def _packed(name: str, rows: list[bodies.Body]) -> bytes:
    text = io.StringIO()
    # Python writes truth as the files do: True and False.
    csv.writer(text, lineterminator="\n").writerows([row[column] for column in _COLUMNS] for row in rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), text.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
