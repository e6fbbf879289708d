"""A crossing of two averages over exported candles, by vectorbt: what it earns after fees, and what holding does.

Needs vectorbt and pyarrow, and an export with floats:

    data-collector export --symbols BTCUSDT --intervals 1m --numbers float --out exports/floats

Usage: backtest_with_vectorbt.py [file] [--fast BARS] [--slow BARS] [--fee SHARE]
"""

import argparse

import pandas as pd
import vectorbt as vbt

arguments = argparse.ArgumentParser()
arguments.add_argument("file", nargs="?", default="exports/floats/BTCUSDT-1m.parquet")
arguments.add_argument("--fast", type=int, default=10)
arguments.add_argument("--slow", type=int, default=30)
arguments.add_argument("--fee", type=float, default=0.001)
asked = arguments.parse_args()
stored = pd.read_parquet(asked.file, columns=["timestamp", "open", "close"]).set_index("timestamp")

# Missing candles become rows without numbers, so that no average goes over a gap as if there were none.
step = stored.index.to_series().diff().min()
candles = stored.asfreq(step)
missing = candles.close.isna().sum()
print(f"{len(stored):,} candles from {stored.index[0]} to {stored.index[-1]}, one in {step}; {missing:,} are missing.")

fast = candles.close.rolling(asked.fast).mean()
slow = candles.close.rolling(asked.slow).mean()
above, below = fast > slow, fast < slow
# What a close tells is traded when the next candle opens, and where that one is missing, not at all.
enters = (above & ~above.shift(1, fill_value=False)).shift(1, fill_value=False)
leaves = (below & ~below.shift(1, fill_value=False)).shift(1, fill_value=False)
portfolio = vbt.Portfolio.from_signals(
    candles.close.ffill(), enters & candles.open.notna(), leaves & candles.open.notna(), price=candles.open,
    fees=asked.fee, freq=step, init_cash=10_000,
)  # fmt: skip
holding = candles.close.iloc[-1] / candles.open.iloc[0] - 1
print(f"{portfolio.trades.count()} trades, {portfolio.total_return():+.2%} after fees of {asked.fee:.2%} a side")
print(f"Holding: {holding:+.2%}. Largest drawdown of the crossing: {portfolio.max_drawdown():.2%}")
