"""All of a stretch of history at once, as a table or as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_collector.client.errors import TooLarge
from data_collector.client.extras import extra_needed
from data_collector.client.reading.history import History, Stretch
from data_collector.client.reading.market import Market
from data_collector.client.reading.questions import Plan
from data_collector.client.records import Kline, Trade
from data_collector.client.table import Table
from data_collector.model.calendar import LENGTHS_MS

if TYPE_CHECKING:
    from data_collector.client.frames import Columns, Numbers

ROWS_MAX = 20_000_000
"""Of one table or frame: some gigabytes."""


def whole_table(market: Market, stretch: Stretch) -> Plan[Table]:
    """Raises `GapFound` where that is the policy, `TooLarge` and `UnknownSymbol`."""
    history = History(market, stretch)
    records: list[Kline | Trade] = []
    while (page := (yield from history.next_page())) is not None:
        records += [item for item in page if isinstance(item, Kline | Trade)]
        _check_size(len(records), stretch)
    return Table(stretch.key, records, history.gaps)


def whole_columns(market: Market, stretch: Stretch, numbers: Numbers) -> Plan[Columns]:
    """Raises as `whole_table`, and `WrongQuestion` and `NotInstalled`."""
    with extra_needed():
        from data_collector.client.frames import check_numbers, joined  # noqa: PLC0415
    check_numbers(numbers)
    if numbers == "float" and _is_in_bulk(market, stretch):
        with extra_needed():
            from data_collector.client.bulk import BulkKlines, BulkTrades  # noqa: PLC0415
        is_trades = stretch.key.channel == "trade"
        bulk: BulkTrades | BulkKlines = (BulkTrades if is_trades else BulkKlines)(market.begun(), stretch)
        blocks, count = list["Columns"](), 0
        while (page := (yield from bulk.next_blocks())) is not None:
            blocks += page
            count += sum(len(block.warnings) for block in page)
            _check_size(count, stretch)
        if count:
            return joined(blocks)
    return (yield from whole_table(market, stretch)).columns(numbers)


def _is_in_bulk(market: Market, stretch: Stretch) -> bool:
    """Whether PostgreSQL is asked first, and gaps can be told by the distance of neighbours."""
    is_trades = stretch.key.channel == "trade"
    policies = {"mark", "skip"} if is_trades else {"mark", "skip", "raise"}
    is_plain = stretch.limit is None and stretch.after is None and stretch.gaps in policies
    is_even = is_trades or stretch.key.interval in LENGTHS_MS
    return is_plain and is_even and market.begins_with_database(stretch.source)


def _check_size(count: int, stretch: Stretch) -> None:
    if count > ROWS_MAX:
        raise TooLarge(
            f"More than {ROWS_MAX:,} records of {stretch.key.label} do not fit into one frame: ask for a shorter time, "
            "or read them in pages(50_000)."
        )
