"""The values that random rows and random suites share, so that they meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from hypothesis import strategies as st
from msgspec import Struct

from data_collector.validation.rules.columns import INTEGER_MAX, ColumnType, Value
from tests.market import NOON_MS

DECIMALS: Final = (
    0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 0.3, 0.6, 2.5, 45_180.5, 45_180.51, 1e-8, 5e-324, 2.2250738585072014e-308, 1e300,
    1.7976931348623157e308, 2.0**53, 2.0**53 + 2, -100.0,
)  # fmt: skip
INTEGERS: Final = (
    0, 1, -1, 2, 3, 1_000, 60_000, -60_000, NOON_MS, NOON_MS + 60_000, NOON_MS + 59_999, 86_400_000,
    INTEGER_MAX, INTEGER_MAX - 1, -INTEGER_MAX, INTEGER_MAX + 1, 2**63, -(2**70),
)  # fmt: skip
"""What is beyond 2^53 comes to the rules clamped."""

TEXTS: Final = (
    "", "BTC", "BTCUSDT", "BTC\n", "\n", "btc", " BTC", "BTC\x00", "\x00", "١٢٣", "123", "BTC币", "币安人生USDT", "É",
    "e\u0301", "😀", "None", "nan", "<NA>", "1m", "1h", "1M", "3d", "1w", "7m", "a" * 65, "{BTC}", "B*C?", "\u2028",
)  # fmt: skip
REGEXES: Final = (
    "", "^[A-Z]+$", r"^[A-Z]+\Z", r"^\d+$", r"\s", "(BTC)", "(?i)btc", r"\bBTC\b", "(?P<coin>BTC)|ETH", ".", "^.$",
    "(?s)^.*$", r"[\s{}:*?]", "币", r"^\w+$", r"[^\x00-\x7f]", r"\x00", "^$", "BTC(?=USDT)", "(B)(T)(C)?", "(?:a{65})",
)  # fmt: skip


class Pool(Struct, frozen=True):
    """The values that one example is made of."""

    decimal: tuple[float, ...]
    integer: tuple[int, ...]
    text: tuple[str, ...]

    def values(self, column_type: ColumnType) -> Sequence[Value]:
        """Those of a column's type."""
        by_type: Mapping[ColumnType, Sequence[Value]] = {
            "decimal": self.decimal, "integer": self.integer, "text": self.text, "flag": (True, False),
        }  # fmt: skip
        return by_type[column_type]


def _with_neighbours(numbers: Sequence[float]) -> tuple[float, ...]:
    near = [math.nextafter(number, towards) for number in numbers for towards in (-math.inf, math.inf)]
    return (*numbers, *(number for number in near if math.isfinite(number)))


def pools() -> st.SearchStrategy[Pool]:
    """Few values, so that equal ones meet, with what lies one step beside them."""
    decimals = st.lists(
        st.sampled_from(DECIMALS) | st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=5
    )
    integers = st.lists(st.sampled_from(INTEGERS) | st.integers(-(2**54), 2**54), min_size=2, max_size=5)
    texts = st.lists(st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8"), max_size=6), min_size=2, max_size=6)
    return st.builds(
        Pool,
        decimal=decimals.map(_with_neighbours),
        integer=integers.map(
            lambda numbers: tuple(near for number in numbers for near in (number - 1, number, number + 1))
        ),
        text=texts.map(tuple),
    )
