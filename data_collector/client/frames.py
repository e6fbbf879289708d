"""Records as columns, and columns as numpy arrays, Arrow tables, pandas and Polars frames.

A float is always `float(text)`, whatever way the number came: PostgreSQL's own cast is that, and so is Python's of a
`Decimal`. Arrow's cast of its decimals is not (0.123 becomes 0.12300000000000001), and is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from data_collector.client.errors import WrongQuestion
from data_collector.client.extras import extra_needed
from data_collector.client.records import EPOCH_START, Kline, Origin, Trade

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Numbers = Literal["float", "decimal"]

KLINE_FLOATS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume",
)  # fmt: skip
KLINE_INTEGERS = ("trades",)
TRADE_FLOATS = ("price", "quantity")
TRADE_INTEGERS = ("trade_id", "buyer_order_id", "seller_order_id", "epoch")
MAKER = "is_buyer_maker"

UNKNOWN = -1
"""Stands in integer columns for what is not told; no id and no count is negative."""

ORIGINS: Final[tuple[Origin, ...]] = ("ws", "rest", "built", "file", "filled")

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Decimals = list[Decimal | None]

PRECISION, SCALE = 38, 18
"""Of Arrow's decimals: the widest that 16 bytes hold."""

_MICROSECOND = timedelta(microseconds=1)


class Columns(Struct):
    """The records of one series."""

    timestamp_us: Integers
    """Open time, or time of the trade, since 1970."""
    numbers: Mapping[str, Floats | Decimals]
    """Not a number, or None, where it is not told."""
    integers: Mapping[str, Integers]
    origins: Integers
    """Places in `ORIGINS`."""
    warnings: Sequence[tuple[str, ...]]

    @property
    def is_trades(self) -> bool:
        """Else klines."""
        return MAKER in self.integers

    def part(self, rows: slice) -> Columns:
        """Some of them."""
        return Columns(
            self.timestamp_us[rows],
            {name: np.asarray(values)[rows] for name, values in self.numbers.items()},
            {name: values[rows] for name, values in self.integers.items()},
            self.origins[rows],
            self.warnings[rows],
        )

    def to_numpy(self) -> npt.NDArray[np.void]:
        """A structured array: times of klines in ms, of trades in µs; -1 is an integer that is not told."""
        unit, divisor = ("us", 1) if self.is_trades else ("ms", 1000)
        named: dict[str, npt.NDArray[np.generic]] = {
            "timestamp": (self.timestamp_us // divisor).view(f"datetime64[{unit}]"),
            **{name: np.asarray(values, np.float64) for name, values in self.numbers.items()},
            **self.integers,
        }
        array = np.empty(len(self.timestamp_us), [(name, values.dtype) for name, values in named.items()])
        for name, values in named.items():
            array[name] = values
        return array

    def to_arrow(self) -> pa.Table:
        """What is not told is null."""
        with extra_needed():
            import pyarrow as pa  # noqa: PLC0415

        named = {"timestamp": pa.array(self.timestamp_us, pa.timestamp("us", "UTC"))}
        for name, values in self.numbers.items():
            if isinstance(values, np.ndarray):
                named[name] = pa.array(values, pa.float64(), mask=np.isnan(values))
            else:
                named[name] = pa.array(values, pa.decimal128(PRECISION, SCALE))
        for name, integers in self.integers.items():
            type_ = pa.bool_() if name == MAKER else pa.int64()
            told = integers.astype(bool) if name == MAKER else integers
            named[name] = pa.array(told, type_, mask=integers == UNKNOWN)
        named["source"] = pa.array(self._sources(), pa.string())
        named["warnings"] = pa.array([list(rules) for rules in self.warnings], pa.list_(pa.string()))
        return pa.table(named)

    def to_pandas(self, tz: str) -> pd.DataFrame:
        """By time; integers that are not told for every row are floats."""
        with extra_needed():
            import pandas as pd  # noqa: PLC0415

        named: dict[str, npt.NDArray[np.generic]] = {}
        for name, values in self.numbers.items():
            named[name] = values if isinstance(values, np.ndarray) else np.array(values, object)
        for name, integers in self.integers.items():
            is_unknown = integers == UNKNOWN
            told = integers.astype(bool) if name == MAKER else integers
            named[name] = told if not is_unknown.any() else np.where(is_unknown, np.nan, integers)
        named["source"] = np.array(self._sources(), object)
        named["warnings"] = np.array([",".join(rules) for rules in self.warnings], object)
        index = pd.DatetimeIndex(self.timestamp_us.view("datetime64[us]"), name="timestamp").tz_localize("UTC")
        return pd.DataFrame(named, index=index.tz_convert(tz))

    def to_polars(self) -> pl.DataFrame:
        """What is not told is null."""
        with extra_needed():
            import polars as pl  # noqa: PLC0415

        return pl.DataFrame(self.to_arrow())

    def _sources(self) -> list[Origin | None]:
        return [None if place == UNKNOWN else ORIGINS[place] for place in self.origins.tolist()]


def columns_of(records: Sequence[Kline | Trade], numbers: Numbers, *, is_trades: bool) -> Columns:
    """Of records in memory. Raises `WrongQuestion`."""
    check_numbers(numbers)
    integers = (*TRADE_INTEGERS, MAKER) if is_trades else KLINE_INTEGERS
    return Columns(
        np.array([us_of(record.timestamp) for record in records], np.int64),
        {
            name: (_floats if numbers == "float" else list)(map(attrgetter(name), records))
            for name in (TRADE_FLOATS if is_trades else KLINE_FLOATS)
        },
        {name: _integers(map(attrgetter(name), records)) for name in integers},
        np.array([_PLACES[record.source] for record in records], np.int64),
        [record.warnings for record in records],
    )


def check_numbers(numbers: str) -> None:
    """Raise `WrongQuestion` for what is none."""
    if numbers not in get_args(Numbers):
        raise WrongQuestion(f"numbers={numbers!r} is none of {', '.join(get_args(Numbers))}.")


def joined(blocks: Sequence[Columns]) -> Columns:
    """One behind the other; there is one at least."""
    blocks = [block for block in blocks if block.warnings] or blocks[:1]
    first = blocks[0]
    if len(blocks) == 1:
        return first
    return Columns(
        np.concatenate([block.timestamp_us for block in blocks]),
        {name: np.concatenate([block.numbers[name] for block in blocks]) for name in first.numbers},
        {name: np.concatenate([block.integers[name] for block in blocks]) for name in first.integers},
        np.concatenate([block.origins for block in blocks]),
        [rules for block in blocks for rules in block.warnings],
    )


def us_of(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - EPOCH_START) // _MICROSECOND


def _floats(values: Iterable[Decimal | None]) -> Floats:
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def _integers(values: Iterable[int | None]) -> Integers:
    return np.array([UNKNOWN if value is None else value for value in values], np.int64)


_PLACES: Final[Mapping[Origin | None, int]] = {origin: place for place, origin in enumerate(ORIGINS)} | {None: UNKNOWN}
