"""Where a stretch of a series begins and ends: told by the exchange, or by its files where it cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from data_collector.history.comparison import is_same_time
from data_collector.history.odd_candles import parted
from data_collector.history.ports import HeldTrades
from data_collector.model.calendar import Calendar
from data_collector.model.errors import BadFile, NotPublished, RowsRefused, Unavailable, VenueRefused, VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.published import BulkFile, BulkFiles
from data_collector.model.venue import ExchangeApi, TradePlace, TradesApi

NO_FILE = (
    "No published file of {series} in this time can be read, and the exchange, which may know {what}, does not answer, "
    "or does not list it. Ask for another time, or check the symbol."
)

BEGAN_ANEW = (
    "Trade ids of {symbol} began anew at the exchange: {what}. Nothing of its trades was stored. Run `data-collector "
    "epoch {symbol} --new` beside a running collector, and then this again."
)


class RestBounds:
    """Of the exchange's REST side."""

    def __init__(self, rest: ExchangeApi, calendar: Calendar) -> None:
        self._rest = rest
        self._calendar = calendar

    async def open_time(self, symbol: str, interval: str, from_ms: int, now_ms: int) -> int | None:
        # What ended before `from_ms` tells the grid too: an answer without a row does not prove that there is none.
        for since_ms in (from_ms, 0):
            page = await self._rest.klines(symbol, interval, since_ms, now_ms)
            if rows := parted(self._calendar, page.klines)[0]:
                return rows[0].open_ms
        return None

    async def trade_ids(self, symbol: str, from_ms: int, to_ms: int, now_ms: int) -> tuple[int, int] | None:
        first_id = await self._rest.first_trade_id(symbol, from_ms)
        if first_id is None:
            await self._prove_quiet(symbol, from_ms)
            return None
        end_id = None if to_ms >= now_ms else await self._rest.first_trade_id(symbol, to_ms)
        if end_id is None:
            # Not what a ticker names: that is of a day alone, and a symbol need not be traded for so long.
            newest_id = await self._rest.newest_trade_id(symbol)
            if newest_id is None:
                raise VenueUnreachable(f"the exchange told trade {first_id} of {symbol}, and that it has none")
            end_id = newest_id + 1
        return None if end_id <= first_id else (first_id, end_id - 1)

    async def _prove_quiet(self, symbol: str, from_ms: int) -> None:
        """An empty answer alone proves nothing. Raises `VenueUnreachable` where something was traded since."""
        newest_id = await self._rest.newest_trade_id(symbol)
        newest = [] if newest_id is None else (await self._rest.trades(symbol, newest_id, limit=1)).trades
        if newest_id is not None and not (newest and newest[0].time_ms < from_ms):
            raise VenueUnreachable(
                f"the exchange told no trade of {symbol} in this time, but its newest is {newest_id}"
            )


class FileBounds:
    """Of the published files: the outermost ones that can be read, each of them read once for it."""

    def __init__(self, files: BulkFiles, calendar: Calendar) -> None:
        self._files = files
        self._calendar = calendar
        self._ids: dict[tuple[str, int, int], tuple[int, int]] = {}

    async def open_time(self, symbol: str, interval: str, from_ms: int, now_ms: int) -> int | None:
        """Raises `Unavailable` when no file can be read."""
        for file in self._files.covering(Key("kline", symbol, interval), from_ms, now_ms):
            try:
                async with aclosing(self._files.klines(file)) as chunks:
                    async for rows in chunks:
                        if whole := parted(self._calendar, rows)[0]:
                            return whole[0].open_ms
            except (NotPublished, BadFile):
                # These intervals are published by the month alone. The fill names what is wrong with a file.
                continue
        raise Unavailable(NO_FILE.format(series=f"{symbol} {interval}", what="when its candles open"))

    async def trade_ids(self, symbol: str, from_ms: int, to_ms: int, now_ms: int) -> tuple[int, int] | None:
        """Raises `Unavailable` when no file can be read."""
        asked = (symbol, from_ms, to_ms)
        if asked not in self._ids:
            files = self._files.covering(Key("trade", symbol), from_ms, to_ms)
            first = await self._outermost(files, from_ms, to_ms, at_end=False)
            last = None if first is None else await self._outermost(files, from_ms, to_ms, at_end=True)
            if first is None or last is None:
                raise Unavailable(NO_FILE.format(series=f"{symbol} trades", what="its trade ids"))
            self._ids[asked] = (first, last)
        return self._ids[asked]

    async def _outermost(self, files: Sequence[BulkFile], from_ms: int, to_ms: int, *, at_end: bool) -> int | None:
        """The first id of the first file that has one in this time, or the last of the last."""
        for file in reversed(files) if at_end else files:
            try:
                found = await self._id_in(file, from_ms, to_ms, at_end=at_end)
            except (NotPublished, BadFile):
                found = await self._outermost(self._files.days_of(file), from_ms, to_ms, at_end=at_end)
            if found is not None:
                return found
        return None

    async def _id_in(self, file: BulkFile, from_ms: int, to_ms: int, *, at_end: bool) -> int | None:
        found: int | None = None
        async with aclosing(self._files.trades(file)) as chunks:
            async for rows in chunks:
                ids = [row.trade_id for row in rows if from_ms <= row.time_ms < to_ms]
                if ids and not at_end:
                    return ids[0]
                found = ids[-1] if ids else found
        return found


async def demand_same_life(symbol: str, held: HeldTrades, rest: TradesApi) -> None:
    """Raises `RowsRefused` where an id of the database is another trade at the exchange."""
    span = await held.trade_span(symbol)
    newest_id = None if span is None else await rest.newest_trade_id(symbol)
    if span is None or newest_id is None:
        return
    # REST may lag behind the live feed: what both should have is compared.
    both_id = min(newest_id, span[1])
    mine = await held.trades_by_id(symbol, both_id, both_id, 1) or await held.trades_by_id(symbol, span[0], both_id, 1)
    if not mine:
        what = f"its newest is {newest_id}, and the database begins with {span[0]}"
        raise RowsRefused(BEGAN_ANEW.format(symbol=symbol, what=what))
    try:
        other = (await rest.trades(symbol, mine[0].trade_id, near=TradePlace.of(mine[0]), limit=1)).trades
    except VenueRefused:
        # Whoever asks for its trades is told.
        return
    if other and other[0].trade_id == mine[0].trade_id and not is_same_time(mine[0], other[0]):
        what = f"trade {mine[0].trade_id} has another time there"
        raise RowsRefused(BEGAN_ANEW.format(symbol=symbol, what=what))
