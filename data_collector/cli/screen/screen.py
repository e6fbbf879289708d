"""The screen of `run` and `demo`: what is awaited, where all is, and what stays wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from data_collector.cli.screen.not_up import EXCHANGE, VALIDATION, not_up
from data_collector.model.keys import FIRST_EXCHANGE
from data_collector.model.status import Snapshot
from data_collector.observe.output import tell
from data_collector.settings import Settings

_SCREEN = """
{heading}

  Page and API   {url}/   (documentation: {url}/docs)
  Store          {store}
  PostgreSQL     {database}
  Exchange       {exchange}
  Validation     {validation}
{symbols}

Try, in another terminal:

  curl {url}/health{spread}
  export REDIS_URL={store} DATA_COLLECTOR_API={url}{exchanges}
  redis-cli -u "$REDIS_URL" XREAD BLOCK 0 STREAMS {stream} '$'
  redis-cli -u "$REDIS_URL" XREVRANGE {trades} + - COUNT 1
  {python} -m data_collector redis HGETALL {latest}      (the same where no redis-cli is installed)
  {python} -m data_collector tail {first}
{history}
  import json, redis
  r = redis.from_url("{store}", decode_responses=True, socket_timeout=None)
  print(r.hgetall("{latest}")["price"])

{ending}
"""

_SYMBOLS_SHOWN = 6

_DIGITS = re.compile(r"\d[\d.,]*")


class Screen:
    """What is awaited, the welcome, what comes up after it, and whatever stays wrong, each thing once."""

    def __init__(self, settings: Settings, *, ending: str) -> None:
        self._settings = settings
        self._ending = ending
        self._welcomed = False
        self._awaited: dict[str, str] = {}
        """Parts that were told not to be up, and why."""
        self._uncollected: set[str] = set()
        """Symbols that were told so."""
        self._before: set[str] = set()
        """What the last look found, without its numbers, which change."""
        self._told: set[str] = set()

    def show(self, url: str, snapshot: Snapshot) -> None:
        """Called with the state every few seconds; what it tells twice in a row stays."""
        if not snapshot.has_begun and not self._welcomed:
            self._tell_awaited(not_up(snapshot))
            return
        if self._welcomed:
            self._tell_come_up(snapshot)
        else:
            self._welcomed = True
            tell(welcome(url, snapshot, self._settings, ending=self._ending))
            self._awaited, self._uncollected = not_up(snapshot), set(snapshot.uncollected)
        found = {_DIGITS.sub("#", reason): reason for reason in snapshot.reasons}
        for kind, reason in found.items():
            if kind in self._before and kind not in self._told:
                self._told.add(kind)
                tell(f"Not well: {reason}")
        standing = self._told & (self._before | found.keys())
        if self._told and not standing and not found:
            tell("All is well again.")
        self._told = standing
        self._before = set(found)

    def _tell_awaited(self, parts: dict[str, str]) -> None:
        """Each reason once."""
        for part, reason in parts.items():
            if _DIGITS.sub("#", self._awaited.get(part, "")) != _DIGITS.sub("#", reason):
                tell(f"Not up yet: {part} ({reason})")
        self._awaited = parts

    def _tell_come_up(self, snapshot: Snapshot) -> None:
        down = not_up(snapshot) if snapshot.has_begun else self._awaited
        come = [part for part in self._awaited if part not in down]
        if come:
            tell(f"Up now: {', '.join(come)}.")
        self._awaited = {part: why for part, why in self._awaited.items() if part in down}
        collected = [each for each in snapshot.symbols if each in self._uncollected - snapshot.uncollected.keys()]
        if collected:
            tell(f"Collecting now: {_shown(collected, len(self._settings.exchanges))}.")
        self._uncollected &= snapshot.uncollected.keys()


def welcome(url: str, snapshot: Snapshot, settings: Settings, *, ending: str) -> str:
    """The text. `url` is the API's base URL."""
    count, down = len(settings.exchanges), not_up(snapshot)
    first, keys = settings.symbols[0], snapshot.store_keys
    return _SCREEN.format(
        heading=f"Data Collector is running{', but not connected yet' if EXCHANGE in down else ''}.",
        url=url,
        spread=f"\n  curl '{url}/spread?base=BTC&quote=USD,USDT'" if count > 1 else "",
        store=snapshot.redis_url,
        database=_database(snapshot),
        history=_history(snapshot),
        exchange=f"{settings.ws_url}, {settings.rest_url}  {_exchange(settings, down.get(EXCHANGE))}",
        exchanges="" if settings.exchange == FIRST_EXCHANGE else f" EXCHANGES={','.join(settings.exchanges)}",
        validation=f"{_validation(settings)}{_whether(down.get(VALIDATION), 'nothing is audited yet')}",
        symbols=_symbols(snapshot, settings),
        first=first,
        stream=keys.key("stream", first),
        trades=keys.key("trades", first),
        latest=keys.key("latest", first),
        python=_python(),
        ending=ending,
    )


def _symbols(snapshot: Snapshot, settings: Settings) -> str:
    """A line of those that are collected, and one for each reason why others are not."""
    count = len(settings.exchanges)
    symbols = snapshot.symbols if count > 1 else list(settings.symbols)
    collected = [symbol for symbol in symbols if symbol not in snapshot.uncollected]
    what = f"{', '.join(settings.channels)}; klines of {', '.join(settings.intervals)}"
    lines = [f"  Collecting     {_shown(collected, count)}  ({what})"] if collected else []
    for reason in dict.fromkeys(snapshot.uncollected.values()):
        found = [symbol for symbol in symbols if snapshot.uncollected.get(symbol) == reason]
        if found:
            lines.append(f"  Not collected  {_shown(found, count)}  ({reason})")
    return "\n".join(lines)


def _shown(symbols: list[str], exchanges: int) -> str:
    shown, more = ", ".join(symbols[: _SYMBOLS_SHOWN * exchanges]), len(symbols) - _SYMBOLS_SHOWN * exchanges
    return f"{shown} and {more} more" if more > 0 else shown


def _exchange(settings: Settings, unconnected: str | None) -> str:
    words = [settings.exchange]
    if unconnected is not None:
        words += [f"not connected: {unconnected}", settings.offline_advice]
    return f"({'; '.join(filter(None, words))}){_others(settings)}"


def _whether(reason: str | None, what: str) -> str:
    return "" if reason is None else f"   ({what}: {reason})"


def _others(settings: Settings) -> str:
    others = settings.exchanges[1:]
    return f", and {', '.join(others)}: what follows is {settings.exchange}'s" if others else ""


def _database(snapshot: Snapshot) -> str:
    history = snapshot.history
    if history.state == "off":
        return "none (DATABASE_URL=embedded starts one)"
    return f"{history.database}" + (f" ({history.reason})" if history.state == "down" else "")


def _history(snapshot: Snapshot) -> str:
    if snapshot.database_url is None:
        return ""
    query = "SELECT * FROM market_data_ohlcv ORDER BY timestamp DESC LIMIT 5"
    return (
        f"  psql {snapshot.database_url} -c '{query}'\n"
        f"  export DATABASE_URL={snapshot.database_url}\n"
        f"  {_python()} -m data_collector backfill --from -1d      (finds this collector's database and exchange)\n"
    )


def _validation(settings: Settings) -> str:
    url = settings.validation_service_url
    if url is not None:
        return f"{url}/suites   (Data Docs: {url}/docs-site/)"
    return f"embedded; your own rules go into {settings.suites_dir}"


def _python() -> str:
    """This interpreter, as short as it can be typed here."""
    executable = Path(sys.executable)
    return str(executable.relative_to(Path.cwd())) if executable.is_relative_to(Path.cwd()) else str(executable)
