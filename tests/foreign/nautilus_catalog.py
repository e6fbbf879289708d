"""What NautilusTrader finds in a catalog, and what a backtest over it comes to, as one line of JSON.

python -m tests.foreign.nautilus_catalog FOLDER
"""

from __future__ import annotations

import json
import sys

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig  # type: ignore[import-not-found]
from nautilus_trader.config import LoggingConfig  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import USDT  # type: ignore[import-not-found]
from nautilus_trader.model.data import Bar, BarType, TradeTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide  # type: ignore[import-not-found]
from nautilus_trader.model.identifiers import Venue  # type: ignore[import-not-found]
from nautilus_trader.model.instruments import CurrencyPair  # type: ignore[import-not-found]
from nautilus_trader.model.objects import Money, Quantity  # type: ignore[import-not-found]
from nautilus_trader.persistence.catalog import ParquetDataCatalog  # type: ignore[import-not-found]
from nautilus_trader.trading.strategy import Strategy  # type: ignore[import-not-found]

BARS = "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL"


class BuysOnce(Strategy):  # type: ignore[misc]
    """At its second bar."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.ticks = 0

    def on_start(self) -> None:
        """Ask for bars and trades."""
        self.subscribe_bars(BarType.from_str(BARS))
        self.subscribe_trade_ticks(BarType.from_str(BARS).instrument_id)

    def on_bar(self, bar: Bar) -> None:
        """Buy."""
        self.seen.append(bar.ts_event)
        if len(self.seen) == 2:
            instrument = self.cache.instrument(bar.bar_type.instrument_id)
            self.submit_order(self.order_factory.market(instrument.id, OrderSide.BUY, Quantity.from_str("0.00100000")))

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Count."""
        self.ticks += 1


def main(folder: str) -> None:
    """Read, then trade."""
    catalog = ParquetDataCatalog(folder)
    (instrument,) = catalog.instruments()
    bars, ticks = catalog.bars(), catalog.trade_ticks()
    minutes = [bar for bar in bars if str(bar.bar_type) == BARS]
    later = catalog.trade_ticks([str(instrument.id)], start=ticks[-2].ts_init)
    found = {
        "instrument": instrument.to_dict(instrument),
        "types": sorted({str(bar.bar_type) for bar in bars}),
        "bars": [[bar.ts_event, *map(str, (bar.open, bar.high, bar.low, bar.close, bar.volume))] for bar in minutes],
        "ticks": [[tick.ts_event, str(tick.trade_id), str(tick.price), str(tick.size)] for tick in ticks],
        "sides": [tick.aggressor_side.name for tick in ticks[:2]],
        "later": [str(tick.trade_id) for tick in later],
        "backtest": traded(instrument, minutes, ticks),
    }
    print(json.dumps(found))


def traded(instrument: CurrencyPair, bars: list[Bar], ticks: list[TradeTick]) -> dict[str, object]:
    """What a strategy saw and had in the end."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.CASH, [Money(1_000_000, USDT)], base_currency=None)
    engine.add_instrument(instrument)
    engine.add_data(bars)
    engine.add_data(ticks)
    strategy = BuysOnce()
    engine.add_strategy(strategy)
    engine.run()
    fills = [[str(order.filled_qty), str(order.avg_px)] for order in engine.cache.orders_closed()]
    engine.dispose()
    return {"bars": strategy.seen, "ticks": strategy.ticks, "fills": fills}


if __name__ == "__main__":
    main(sys.argv[1])
