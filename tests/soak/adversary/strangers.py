"""A stranger who writes under keys of ours what he likes: naive, broken, or in our own form."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import ReplyError
from tests.soak.feeds import Oracles
from tests.soak.kind import Kind, Untouched
from tests.soak.scene import Scene
from tests.soak.servers import Server

HIGHEST = "18446744073709551615-18446744073709551615"
TEXTS = ("x", "{}", '{"trade_id":0,}', "[" * 5_000, "")
NUMBERS = ("abc", "", "-5", "1e400", "9" * 20, "9007199254740000")
AHEAD = (1, 1, 2, 3, 30, 1_000, 10**6)
STATES = ("abc", "", "1 2 3", "-1 -1 -1", "9999999999999 -1 -1", "9" * 30)
LATEST = ("trade_id", "event_ms", "last_id", "volume", "timestamp", "price")


class Place:
    """The keys of one symbol, as they are now."""

    def __init__(self, server: Server, oracles: Oracles, random: Random) -> None:
        self.server = server
        self.random = random
        self._truth = oracles.trades.truth
        self.trades = oracles.trades.key
        keys = self._truth.venue.store_keys
        self.cursors, self.epoch = keys.cursors(self._truth.symbol), keys.epoch(self._truth.symbol)
        self.stream, self.gaps, self.late, self.quarantine, self.latest = (
            self._truth.key(kind) for kind in ("stream", "gaps", "late", "quarantine", "latest")
        )

    async def newest(self) -> tuple[int, int, str]:
        """Milliseconds, trade id and text of the newest trade. Raises `Untouched` where there is none of ours."""
        found = await self.server.ask("XREVRANGE", self.trades, "+", "-", "COUNT", 1)
        if not isinstance(found, list) or not found:
            raise Untouched
        entry, words = found[0]
        ms, trade_id = map(int, entry.split("-"))
        if '"trade_id"' not in words[1] or trade_id >= 2**53:
            raise Untouched
        return ms, trade_id, words[1]

    async def add_trade(self, ms_ahead: int, ahead: int, *, price: str | None = None, text: str | None = None) -> None:
        """An entry behind the newest one, in our own form but for `text`."""
        ms, newest, own = await self.newest()
        record = re.sub(r'"trade_id":\d+', f'"trade_id":{newest + ahead}', own) if text is None else text
        if price is not None:
            record = re.sub(r'"price":[\d.]+', f'"price":{price}', record)
        await self.server.ask("XADD", self.trades, f"{ms + ms_ahead}-{newest + ahead}", "data", record)

    async def become(self, key: str) -> None:
        """A key of another type."""
        await self.server.ask("DEL", key)
        await self.server.ask("SET", key, "x")


async def naive_entry(place: Place) -> None:
    """What `XADD trades:… * data …` writes."""
    await place.server.ask("XADD", place.trades, "*", "data", place.random.choice(TEXTS))


async def entry_ahead(place: Place) -> None:
    """Anything at an id that is due soon, or never."""
    await place.add_trade(0, place.random.choice(AHEAD), text=place.random.choice(TEXTS))


async def trade_ahead(place: Place) -> None:
    """A trade in our own form, of which only the exchange knows that it never was."""
    await place.add_trade(0, place.random.choice(AHEAD), price="1.5")


async def many_trades(place: Place) -> None:
    """Forty of them."""
    ms, newest, own = await place.newest()
    for ahead in range(1, 41):
        record = re.sub(r'"trade_id":\d+', f'"trade_id":{newest + ahead}', own)
        await place.server.ask("XADD", place.trades, f"{ms}-{newest + ahead}", "data", record)


async def copy_of_the_newest(place: Place) -> None:
    """The newest trade again, a millisecond later."""
    await place.add_trade(1, 0)


async def entry_of_the_future(place: Place) -> None:
    """A trade whose entry lies days ahead."""
    await place.add_trade(10**9, 1)


async def highest_entry(place: Place) -> None:
    """Nothing can be added behind it, to any of the streams."""
    key = place.random.choice((place.trades, place.stream, place.gaps))
    await place.server.ask("XADD", key, HIGHEST, "data", "x")


async def moved_tail(place: Place) -> None:
    """XSETID."""
    ms, newest, _ = await place.newest()
    await place.server.ask("XSETID", place.trades, f"{ms}-{newest + place.random.choice(AHEAD)}")


async def other_epoch(place: Place) -> None:
    """An epoch that nobody has begun, in the key or in an entry."""
    epoch = place.random.choice(("1", "7", "abc", "9" * 40, ""))
    if place.random.random() < 0.5:
        await place.server.ask("SET", place.epoch, epoch)
        return
    ms, newest, own = await place.newest()
    record = re.sub(r'"trade_id":\d+', f'"trade_id":{newest + 1}', own)
    await place.server.ask("XADD", place.trades, f"{ms}-{newest + 1}", "data", record, "epoch", epoch)


async def garbage_in_latest(place: Place) -> None:
    """A field of `latest:`."""
    await place.server.ask("HSET", place.latest, place.random.choice(LATEST), place.random.choice(NUMBERS))


async def garbage_in_state(place: Place) -> None:
    """A field of the state of klines."""
    field = place.random.choice(("1m", "5m", "entry", "zz"))
    await place.server.ask("HSET", place.cursors, field, place.random.choice(STATES))


async def garbage_beside(place: Place) -> None:
    """An entry that is none, in a stream beside the trades."""
    key = place.random.choice((place.stream, place.gaps, place.quarantine, place.late))
    name = place.random.choice(("data", "why", "zz"))
    await place.server.ask(
        "XADD", key, place.random.choice(("*", "99999999999999-0")), name, place.random.choice(TEXTS)
    )


async def other_type(place: Place) -> None:
    """A key that is something else."""
    keys = (place.trades, place.stream, place.gaps, place.quarantine, place.late, place.latest, place.cursors)
    await place.become(place.random.choice(keys))


async def deleted(place: Place) -> None:
    """DEL of any key."""
    keys = (place.trades, place.latest, place.cursors, place.epoch, place.stream, place.gaps)
    await place.server.ask("DEL", place.random.choice(keys))


async def _strike(write: Callable[[Place], Awaitable[None]], scene: Scene, random: Random) -> None:
    place = Place(scene.pair.primary, random.choice(scene.oracles), random)
    try:
        await write(place)
    except ReplyError:
        raise Untouched from None
    except SinkUnavailable:
        with contextlib.suppress(SinkUnavailable):
            await scene.pair.primary.answers()
        raise Untouched from None


KINDS = tuple(
    Kind(name, "store", weight, partial(_strike, write))
    for name, weight, write in (
        ("naive-entry", 3, naive_entry),
        ("entry-ahead", 3, entry_ahead),
        ("trade-ahead", 3, trade_ahead),
        ("many-trades", 1, many_trades),
        ("copy-of-newest", 2, copy_of_the_newest),
        ("entry-of-future", 2, entry_of_the_future),
        ("highest-entry", 2, highest_entry),
        ("moved-tail", 2, moved_tail),
        ("other-epoch", 3, other_epoch),
        ("garbage-in-latest", 3, garbage_in_latest),
        ("garbage-in-state", 3, garbage_in_state),
        ("garbage-beside", 3, garbage_beside),
        ("other-type", 2, other_type),
        ("deleted", 2, deleted),
    )
)
