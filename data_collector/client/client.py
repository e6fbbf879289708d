"""The client for programmes that wait for their answers."""

from __future__ import annotations

from types import TracebackType

from data_collector.client.answering.blocking import Answering
from data_collector.client.answering.places import places_of
from data_collector.client.answering.store import StoreClient, check_store
from data_collector.client.history import Records
from data_collector.client.live import Live
from data_collector.client.reading.asked import klines_stretch, live_of, replay_of, trades_stretch
from data_collector.client.reading.market import Market, Source
from data_collector.client.records import Latest
from data_collector.client.terms.policy import GapPolicy
from data_collector.client.terms.series import EXCHANGE
from data_collector.client.terms.times import Time, now_ms


class Client:
    """Reads one exchange. Not to be shared by threads: give each its own.

    `EXCHANGE:SYMBOL` is a symbol of another one, and `EXCHANGE:SYMBOL:1m` a series.
    Methods raise `WrongQuestion` for what can never be answered, and `Away` while somebody does not answer.
    """

    def __init__(
        self, store: str | StoreClient | None = None, *,
        api: str | None = None, database: str | None = None, exchange: str = EXCHANGE,
    ) -> None:  # fmt: skip
        """`store` is the address of Redis (`REDIS_URL`, else this machine's), or a `redis.Redis` or `valkey.Valkey`.

        `api` is the collector's HTTP side (`DATA_COLLECTOR_API`, else this machine's), which fills what the streams no
        longer hold; `database` is PostgreSQL (`DATABASE_URL`, else none), ten times as fast for history. An empty text
        stands for: do without.
        """
        given = None if store is None or isinstance(store, str) else store
        if given is not None:
            check_store(given, is_async=False)
        places = places_of(store if isinstance(store, str) else None, api, database)
        self._answering = Answering(given, places)
        called = places.called(is_given=given is not None)
        self._market = Market(exchange, called, with_database=bool(places.database))

    @property
    def exchange(self) -> str:
        """That it reads."""
        return self._market.exchange

    def symbols(self) -> list[str]:
        """Those of which the store holds anything."""
        return self._answering.finish(self._market.begun().symbols())

    def market(self) -> str | None:
        """What the store is filled from, as positions have it: the address of a REST side; None where nobody tells."""
        return self._answering.finish(self._market.begun().filled_from())

    def latest(self, symbol: str) -> Latest:
        """The newest price and the statistics of 24 hours."""
        market, name = self._market.of_symbol(symbol)
        return self._answering.finish(market.begun().latest(name))

    def klines(
        self, symbol: str, interval: str, start: Time | None = None, end: Time | None = None,
        limit: int | None = None, gaps: GapPolicy = "mark", source: Source = "auto",
    ) -> Records:  # fmt: skip
        """Closed candles that open from `start` on and before `end`; nothing is read before it is iterated."""
        market, name = self._market.of_symbol(symbol)
        stretch = klines_stretch(name, interval, start, end, limit, gaps, source)
        return Records(market, stretch, self._answering)

    def trades(
        self, symbol: str, start: Time | None = None, end: Time | None = None, after: int | None = None,
        limit: int | None = None, gaps: GapPolicy = "mark", source: Source = "auto",
    ) -> Records:  # fmt: skip
        """Trades from `start` on and before `end`, or behind an id of the newest epoch; nothing is read before."""
        market, name = self._market.of_symbol(symbol)
        stretch = trades_stretch(name, start, end, after, limit, gaps, source)
        return Records(market, stretch, self._answering)

    def live(
        self, *series: str, start: Time = "now", position: str | None = None, gaps: GapPolicy = "mark",
        open: bool = False, revisions: bool = False,  # noqa: A002
    ) -> Live:  # fmt: skip
        """What comes from now on, from the oldest that the streams hold (`earliest`), or from a time: history first.

        `position` is that of another live stream or replay, which this one goes on behind. `open` adds candles that
        are not closed, `revisions` what came late.
        """
        market, names = self._market.of_series(series)
        following = live_of(
            market, names, now_ms(), start=start, position=position, gaps=gaps, with_open=open,
            with_revisions=revisions,
        )  # fmt: skip
        return Live(following, self._answering, raises=gaps == "raise")

    def replay(
        self, *series: str, start: Time, end: Time | None = None, speed: float | None = None,
        position: str | None = None, gaps: GapPolicy = "mark",
    ) -> Live:  # fmt: skip
        """History as a live stream gave it, `speed` times as fast; a candle comes when it had closed."""
        market, names = self._market.of_series(series)
        following = replay_of(
            market, names, now_ms(), start=start, end=end, position=position, gaps=gaps, speed=speed
        )  # fmt: skip
        return Live(following, self._answering, raises=gaps == "raise")

    def close(self) -> None:
        """Hang up. A Redis client that was given stays open."""
        self._answering.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
