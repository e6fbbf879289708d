"""Market Memory: when the market looked like now, and what came then.

A memory holds the closed candles of one series. Windows of them are compared by shape, exactly and all of them; an
answer is past windows, what followed each, and what followed windows that were drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from msgspec import Struct

from data_collector.client.client import Client
from data_collector.client.errors import NotInstalled, TooLarge, WrongQuestion
from data_collector.client.live import Live
from data_collector.client.records import CALENDAR, Item, Kline, Revision, ms_of, time_of
from data_collector.client.terms.position import KlinesPlace, Position, position_of, position_text
from data_collector.client.terms.series import EXCHANGE, klines_of, parted_symbol, store_keys
from data_collector.client.terms.times import Time, now_ms, time_ms
from data_collector.model.calendar import LATEST_MS, LENGTHS_MS
from data_collector.model.keys import Key

try:
    import numpy as np
    import numpy.typing as npt
except ImportError as error:
    raise NotInstalled("Memory needs numpy: pip install 'btc-data-collector[memory]'.") from error

from data_collector.client.adapters.remembering.answers import Forecast, Hit, Moments, NoShape, Outcome
from data_collector.client.adapters.remembering.candle_file import (
    ROW,
    FileAway,
    FileInUse,
    Header,
    Rows,
    WrongFile,
)
from data_collector.client.adapters.remembering.candles import Candles
from data_collector.client.adapters.remembering.outcomes import drawn_windows, forecast_of
from data_collector.client.adapters.remembering.screen import Integers, Mask, Singles
from data_collector.client.adapters.remembering.search import check_numbers, nearest
from data_collector.client.adapters.remembering.shape import EMBEDDING, Shape, shape_of
from data_collector.client.adapters.remembering.windows import VectorPage, Windows

__all__ = [
    "FileAway", "FileInUse", "Forecast", "Hit", "Memory", "Moments", "NoShape", "Outcome", "VectorPage", "WrongFile",
]  # fmt: skip

CHANNELS: Final[Mapping[str, float]] = {"close": 0.7, "range": 0.15, "volume": 0.15}

SCALE: Final = (0.5, 2.0)

READ_AGAIN: Final = 1000
"""Rows at the end that a filling compares with history: what was corrected is there by then."""

GAPS_ASKED: Final = 100
"""The newest ones, which history may have closed since."""

PAGE_CANDLES: Final = 200_000

PAGE_VECTORS: Final = 5000

VECTOR_NUMBERS_MAX: Final = 1 << 29
"""Two gigabytes."""


class Memory:
    """The closed candles of one symbol and interval, kept in a file, and their windows. Not to be shared by threads.

    Opening reads what the file has; the first method that writes locks it until `close`, and other processes may read
    meanwhile. Methods raise `WrongQuestion` for what can never be answered, `FileInUse` and `FileAway`.
    """

    def __init__(
        self, folder: str | Path, symbol: str, interval: str, window: int = 64, *,
        channels: Mapping[str, float] = CHANNELS, embedding: str = EMBEDDING, exchange: str = EXCHANGE,
    ) -> None:  # fmt: skip
        """`window` is in candles; `channels` are weights of close, range (high to low) and volume.

        `EXCHANGE:SYMBOL` names the exchange too. Raises `WrongFile` where the file of that name is of something else.
        """
        named, name = parted_symbol(symbol)
        self.key = klines_of(name, interval)
        self.exchange = named or exchange
        self.shape: Shape = shape_of(window, channels, embedding)
        self._candles = Candles(Path(folder), Header(self.exchange, self.key.symbol, interval, embedding), self.shape)

    def __len__(self) -> int:
        """Candles."""
        return self._windows.rows

    @property
    def corrections(self) -> Sequence[tuple[int, int]]:
        """First and last open times in ms of candles that were corrected, or came late, since this was opened."""
        return self._candles.corrections

    @property
    def position(self) -> str | None:
        """For `position=` of a live stream that is to be followed: behind the newest candle; None without one."""
        if not len(self):
            return None
        place = KlinesPlace({self.key.kline_interval: int(self._windows.open_ms[len(self) - 1])})
        places = {store_keys(self.exchange).key("stream", self.key.symbol): place}
        return position_text(Position(places, self._candles.file.market or None))

    @property
    def first(self) -> datetime | None:
        """When the oldest candle opened."""
        return time_of(int(self._windows.open_ms[0])) if len(self) else None

    @property
    def last(self) -> datetime | None:
        """When the newest candle opened."""
        return time_of(int(self._windows.open_ms[len(self) - 1])) if len(self) else None

    @property
    def holes(self) -> list[tuple[datetime, datetime]]:
        """From when on, and until when, candles are missing between others; `take` puts those that come later there."""
        return [(time_of(from_ms), time_of(to_ms)) for from_ms, to_ms in self._windows.holes()]

    def reload(self) -> None:
        """Take what the file has by now, which another process may have written."""
        self._candles.reload()

    def fill(self, client: Client, start: Time | None = None, tell: Callable[[datetime], None] | None = None) -> int:
        """Take what history has and the file lacks; returns how many candles were added.

        That is what came before its first candle (from `start` on, by default from the first one that there is), what
        lies in its gaps, and what came since; of the newest ones that it has, it takes corrections. `tell` is called
        with the open time that has been reached, now and then. Raises `Away`; what was taken stays. Raises `WrongStore`
        where the file is of another market than the client's.
        """
        self._check_client(client)
        self._candles.join(client.market())
        added = 0
        for begin_ms, end_ms in self._lacking(client, start):
            for rows in _pages_of(client, self.key, begin_ms, end_ms):
                self._candles.join(client.market())
                added += self._candles.merge(rows)
                if tell is not None and len(rows):
                    tell(time_of(int(rows["open_ms"][-1])))
        return added

    def follow(self, live: Live) -> int:
        """Take candles as they close, until `live` is closed; returns how many were added.

        `client.live("BTCUSDT:1m", position=memory.position)` goes on behind the newest one; with `revisions=True`
        what is corrected later is corrected here too. Raises `WrongStore` as `fill`.
        """
        self._candles.join(position_of(live.position).source)
        added = 0
        for batch in live.batches():
            self._candles.join(position_of(batch.position).source)
            added += self.take(batch.items)
        return added

    def take(self, items: Iterable[Item]) -> int:
        """Candles of a live stream, for who reads it himself; what is of other series is passed over."""
        records = (item.record if isinstance(item, Revision) else item for item in items)
        return self._candles.merge(
            _rows_of(each for each in records if isinstance(each, Kline) and self._is_ours(each))
        )

    def similar(
        self, k: int = 10, at: Time | None = None, horizons: Sequence[int] = (5, 15, 60),
        exclusion: int | None = None, scale: tuple[float, float] | None = SCALE,
    ) -> list[Hit]:  # fmt: skip
        """The `k` past windows that are most like the newest one, best first; fewer where there are no more.

        `at` answers as that time would have: nothing later is looked at, not even what followed a hit. Windows are
        `exclusion` candles apart from now and from each other, by default as many as a window has. `scale` bounds
        their volatility by now's; None: any. Raises `NoShape` where the window at that time has none.
        """
        asked = self._asked(k, at, horizons, exclusion, scale)
        return self._hits(asked, horizons, *self._nearest(asked))

    def forecast(
        self, horizon: int, k: int = 20, at: Time | None = None,
        exclusion: int | None = None, scale: tuple[float, float] | None = SCALE,
    ) -> Forecast:  # fmt: skip
        """What followed the `k` most similar windows within `horizon` candles, beside what followed any.

        Raises `NoShape`.
        """
        return self.moments(k, at, (horizon,), exclusion, scale).forecasts[0]

    def moments(
        self, k: int = 10, at: Time | None = None, horizons: Sequence[int] = (5, 15, 60),
        exclusion: int | None = None, scale: tuple[float, float] | None = SCALE,
    ) -> Moments:  # fmt: skip
        """What `similar` finds, and what followed these very windows as `forecast` tells it. Raises `NoShape`."""
        asked = self._asked(k, at, horizons, exclusion, scale)
        found, similarities = self._nearest(asked)
        start = time_of(int(self._windows.open_ms[asked.first]))
        return Moments(start, self._hits(asked, horizons, found, similarities), self._forecasts(asked, found, horizons))

    def vectors(self, start: Time | None = None, end: Time | None = None) -> tuple[Integers, Singles]:
        """Open times in ms and shapes of the windows that begin from `start` on and before `end`.

        Each is of length 1 and has as many numbers as the window has candles, for each channel; the product of two is
        their similarity. Windows without a shape are left out. Raises `TooLarge`.
        """
        first, until = self._between(start, end)
        if (until - first) * self.shape.dimensions > VECTOR_NUMBERS_MAX:
            raise TooLarge(
                f"{until - first:,} vectors of {self.shape.dimensions:,} numbers do not fit into one array: ask for a "
                "shorter time, or read them in vector_pages()."
            )
        page = self._vectors(first, until)
        return page.open_ms, page.shapes

    def vector_pages(
        self, start: Time | None = None, end: Time | None = None, size: int = PAGE_VECTORS
    ) -> Iterator[VectorPage]:
        """The same in pages of so many windows, those without a shape counted."""
        first, until = self._between(start, end)
        for begin in range(first, until, size):
            yield self._vectors(begin, min(begin + size, until))

    def shape_at(self, at: Time | None = None) -> VectorPage:
        """The vector of the newest window, or of the newest one then, alone. Raises `NoShape`."""
        first = self._window_at(at)
        return self._vectors(first, first + 1)

    def path(self, start: Time, horizon: int = 0) -> npt.NDArray[np.float64]:
        """To draw a window: the logarithm of each close of it, and of `horizon` candles more, ÷ its last close."""
        start_ms = time_ms("start", start, now_ms())
        row = int(np.searchsorted(self._windows.open_ms[: self._windows.count], start_ms))
        if row == self._windows.count or self._windows.open_ms[row] != start_ms:
            raise WrongQuestion(f"start={start!r}: no window begins there.")
        return self._windows.path(row, self.shape.window + horizon)

    def close(self) -> None:
        """The lock ends."""
        self._candles.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _windows(self) -> Windows:
        return self._candles.windows

    def _asked(
        self, k: int, at: Time | None, horizons: Sequence[int], exclusion: int | None, scale: tuple[float, float] | None
    ) -> _Asked:
        """Raises `WrongQuestion` and `NoShape`."""
        exclusion = self.shape.window if exclusion is None else exclusion
        check_numbers(k, horizons, exclusion, scale)
        first = self._window_at(at)
        horizon = max(horizons, default=0)
        counting = self._windows.counting(_known(first, exclusion, horizon), horizon)
        if scale is not None:
            counting = self._windows.scaled(counting, first, scale)
        return _Asked(k, first, exclusion, counting)

    def _window_at(self, at: Time | None) -> int:
        """Raises `NoShape`."""
        rows = len(self) if at is None else self._windows.newest_row(time_ms("at", at, now_ms()))
        self._windows.demand_shape(rows - self.shape.window, rows)
        return rows - self.shape.window

    def _between(self, start: Time | None, end: Time | None) -> tuple[int, int]:
        """The first window that begins in this time, and the first one behind it."""
        open_ms = self._windows.open_ms[: self._windows.count]
        first = 0 if start is None else int(np.searchsorted(open_ms, time_ms("start", start, now_ms())))
        until = len(open_ms) if end is None else int(np.searchsorted(open_ms, time_ms("end", end, now_ms())))
        return first, max(first, until)

    def _vectors(self, first: int, until: int) -> VectorPage:
        starts = first + np.flatnonzero(self._windows.counting(self._windows.count, 0)[first:until])
        last_ms = self._windows.open_ms[starts + self.shape.window - 1]
        interval = self.key.kline_interval
        close_ms = np.array([CALENDAR.next_open_ms(interval, each) for each in last_ms.tolist()], np.int64)
        return VectorPage(self._windows.open_ms[starts], close_ms, self._windows.vectors(starts))

    def _nearest(self, asked: _Asked) -> tuple[list[int], list[float]]:
        unit = self._windows.unit(asked.first)
        return nearest(
            self._windows.bounds(unit, asked.counting),
            lambda starts: self._windows.similarities(unit, starts),
            asked.k,
            asked.exclusion,
        )

    def _hits(
        self, asked: _Asked, horizons: Sequence[int], found: Sequence[int], similarities: Sequence[float]
    ) -> list[Hit]:  # fmt: skip
        starts = np.array(found, np.int64)
        scales = self._windows.scales(starts, asked.first).tolist()
        after = {horizon: self._windows.returns(starts, horizon).tolist() for horizon in horizons}
        return [
            Hit(
                time_of(int(self._windows.open_ms[start])), self._closed(start + self.shape.window - 1), similarity,
                scales[number], {horizon: returns[number] for horizon, returns in after.items()},
            )
            for number, (start, similarity) in enumerate(zip(found, similarities, strict=True))
        ]  # fmt: skip

    def _forecasts(self, asked: _Asked, similar: Sequence[int], horizons: Sequence[int]) -> list[Forecast]:
        """Of windows that were found; by horizon."""
        found, drawn = np.sort(np.array(similar, np.int64)), drawn_windows(asked.counting)
        at = self._closed(asked.first + self.shape.window - 1)
        return [forecast_of(self._windows, found, drawn, horizon, at) for horizon in horizons]

    def _closed(self, row: int) -> datetime:
        return time_of(CALENDAR.next_open_ms(self.key.kline_interval, int(self._windows.open_ms[row])))

    def _is_ours(self, kline: Kline) -> bool:
        return kline.is_closed and (kline.symbol, kline.interval) == (self.key.symbol, self.key.interval)

    def _lacking(self, client: Client, start: Time | None) -> Iterator[tuple[int, int | None]]:
        """Stretches of time to ask for, as they are when it comes to them."""
        if start is not None:
            begin_ms = time_ms("start", start, now_ms())
        else:
            records = client.klines(self.key.symbol, self.key.kline_interval)
            oldest = next((item for item in records if isinstance(item, Kline)), None)
            if oldest is None:
                return
            begin_ms = ms_of(oldest.timestamp)
        if not len(self):
            yield begin_ms, None
            return
        if begin_ms < self._windows.open_ms[0]:
            yield begin_ms, int(self._windows.open_ms[0])
        for first_ms, end_ms in self._windows.gaps()[-GAPS_ASKED:]:
            if first_ms >= begin_ms:
                yield first_ms, end_ms
        yield int(self._windows.open_ms[max(0, len(self) - READ_AGAIN)]), None

    def _check_client(self, client: Client) -> None:
        if client.exchange != self.exchange:
            raise WrongQuestion(
                f"The client reads {client.exchange}, and this memory is of {self.exchange}: "
                f'give it exchange="{client.exchange}", or the client exchange="{self.exchange}".'
            )


class _Asked(Struct, frozen=True):
    """What is looked for."""

    k: int
    first: int
    """The window now."""
    exclusion: int
    counting: Mask
    """Windows that may be found."""


def _known(first: int, exclusion: int, horizon: int) -> int:
    """How many windows lie apart from window `first`, with a horizon that ended when that one did."""
    return max(0, first - max(exclusion, horizon, 1) + 1)


def _pages_of(client: Client, key: Key, begin_ms: int, end_ms: int | None) -> Iterator[Rows]:
    """What history has from then on and before the end, or up to now."""
    length_ms = LENGTHS_MS.get(key.kline_interval)
    until_ms = now_ms() if end_ms is None else end_ms
    while begin_ms < until_ms:
        page_ms = LATEST_MS if length_ms is None else begin_ms + PAGE_CANDLES * length_ms
        yield _rows_of_frame(client, key, begin_ms, page_ms if end_ms is None else min(page_ms, end_ms))
        begin_ms = page_ms


def _rows_of_frame(client: Client, key: Key, begin_ms: int, end_ms: int) -> Rows:
    records = client.klines(key.symbol, key.kline_interval, begin_ms, end_ms, gaps="skip")
    try:
        found = records.to_numpy()
    except NotInstalled:
        # Reading in bulk needs Arrow, and this does not.
        found = records.read().to_numpy()
    rows = np.empty(len(found), ROW)
    rows["open_ms"] = found["timestamp"].astype(np.int64)
    for name in ("open", "high", "low", "close", "volume"):
        rows[name] = found[name]
    return rows


def _rows_of(klines: Iterable[Kline]) -> Rows:
    """In order; of one that comes twice the later."""
    newest = {ms_of(each.timestamp): (each.open, each.high, each.low, each.close, each.volume) for each in klines}
    return np.array([(open_ms, *map(float, newest[open_ms])) for open_ms in sorted(newest)], ROW)
