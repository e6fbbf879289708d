"""Starts a collector with a bug in it: `python -m tests.soak.planted NAME collect …`.

An oracle that stays green then is blind.

Most bugs are planted into the text of the server-side functions, which is what keeps the promises.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from data_collector.model.errors import SinkUnavailable
from data_collector.model.sink import Batch, Behind
from data_collector.sinks.redis import functions
from data_collector.sinks.redis.sink import RedisSink


@dataclass(frozen=True, slots=True)
class Change:
    """One place in the text of the functions, as a pattern that fits exactly once."""

    old: str
    new: str


TAKES_ANY_HOLE = (
    Change(r"if args\[7\] ~= string\.format\('%d', tail\) then return .*? end", ""),
    Change(r"skip, bridged = 0, 1\n", "skip, bridged = 0, args[7] == string.format('%d', tail) and 1 or 0\n"),
)
"""Nobody compares the tail: what is written is written behind whatever is there."""


def _functions(*changes: Change) -> Callable[[], None]:
    def plant() -> None:
        for change in changes:
            text, count = re.subn(change.old, change.new, functions.LIBRARY)
            assert count == 1, f"the functions have {count} times: {change.old}"
            functions.LIBRARY = text

    return plant


def _ack_before_append() -> None:
    write = RedisSink.write

    async def acknowledge(self: RedisSink, batch: Batch) -> list[Behind]:
        with contextlib.suppress(SinkUnavailable):
            await write(self, batch)
        return []

    setattr(RedisSink, "write", acknowledge)  # noqa: B010 (mypy forbids assigning to a method)
    _functions(*TAKES_ANY_HOLE)()


PLANTS: dict[str, Callable[[], None]] = {
    # What is resent is stored again, at the next free place.
    "blind-retry": _functions(
        Change(
            r"local skip = tail and tail \+ 1 - first or 0", "local skip = tail and math.min(0, tail + 1 - first) or 0"
        ),
        Change(
            r"local entry = string\.format\('%d-%d', ms, id\)",
            "local entry = id > (tail or -1) and string.format('%d-%d', ms, id) or string.format('%d-*', ms)",
        ),
    ),
    # What could not be written counts as written.
    "ack-before-append": _ack_before_append,
    # The entry id is the trade's own time, which goes back now and then.
    "no-clamp": _functions(Change("if time > ms then ms = time end", "ms = time")),
    # A run that was stored in part counts as one that came too late.
    "duplicate-is-late": _functions(
        Change(
            r"(?=  local position = 1\d \+ skip \* 2\n)",
            "  if skip > 0 then\n"
            "    memory.id = string.format('%d-%d', ms, first + count - 1)\n"
            "    redis.call('XSETID', keys[1], memory.id)\n"
            "    return {'OK', first + count - 1, 0, bridged, unpack(foreign)}\n"
            "  end\n",
        )
    ),
    # Ten seconds of market time are kept, whatever the limit says.
    "trim-by-minid": _functions(
        Change(
            r"redis\.call\('XTRIM', keys\[1\], 'MAXLEN', '~', args\[3\]\)",
            "redis.call('XTRIM', keys[1], 'MINID', string.format('%d-0', ms - 10000))",
        )
    ),
    # The key is written, the stream is not: one closed kline of five.
    "skip-kline-stream": _functions(
        Change(
            r"local function append_klines\(keys, args\)\n",
            "local function append_klines(keys, args)\n"
            "  local server = redis\n"
            "  local redis = {call = function(command, key, ...)\n"
            "    local words = table.concat({...}, ' ')\n"
            "    local skipped = command == 'XADD' and key == keys[1] and string.find(words, '\"is_closed\":true')\n"
            "    if skipped and string.find(words, '[05]:00%+00:00') then\n"
            "      local _, last = facts_of(key)\n"
            "      return last or '0-1'\n"
            "    end\n"
            "    return server.call(command, key, ...)\n"
            "  end}\n",
        )
    ),
}
"""Name to what plants it."""


def main() -> None:
    """Plant, then be the command line."""
    name = sys.argv.pop(1)
    PLANTS[name]()
    from data_collector.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
