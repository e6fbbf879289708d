"""What freqtrade finds in a folder of data, as one line of JSON.

python -m tests.foreign.freqtrade_data FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from freqtrade.data.converter import trades_to_ohlcv  # type: ignore[import-not-found]
from freqtrade.data.history import get_datahandler, load_pair_history  # type: ignore[import-not-found]
from freqtrade.enums import CandleType, TradingMode  # type: ignore[import-not-found]
from pandas import DataFrame

PAIR = "BTC/USDT"


def main(folder: Path) -> None:
    """By the functions that its commands load with."""
    files = get_datahandler(folder, data_format="feather")
    stored = files.ohlcv_load(PAIR, "1m", CandleType.SPOT, fill_missing=False, drop_incomplete=False)
    trades = files.trades_load(PAIR, TradingMode.SPOT)
    found = {
        "available": sorted(key[:2] for key in files.ohlcv_get_available_data(folder, TradingMode.SPOT)),
        "pairs of trades": files.trades_get_pairs(folder),
        "stored": rows_of(stored),
        "filled": rows_of(load_pair_history(pair=PAIR, timeframe="1m", datadir=folder)),
        "trades": trades[["timestamp", "id", "side", "price", "amount", "cost"]].to_numpy().tolist(),
        "of trades": rows_of(trades_to_ohlcv(trades, "1m")),
    }
    print(json.dumps(found))


def rows_of(candles: DataFrame) -> list[tuple[object, ...]]:
    """The times in ms."""
    times = candles["date"].to_numpy(np.datetime64).astype("datetime64[ms]").astype(np.int64).tolist()
    columns = [candles[name].tolist() for name in ("open", "high", "low", "close", "volume")]
    return list(zip(times, *columns, strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
