"""Starts a collector with a bug in it: `python -m tests.soak.planted NAME collect …`. An oracle that stays green is blind.

Most bugs are planted into the text of the server-side functions, which is what keeps the promises.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from data_collector.model.batch import Batch
from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis import functions
from data_collector.sinks.redis.sink import RedisSink


@dataclass(frozen=True, slots=True)
class Change:
    """One place in the text of the functions; it must be there exactly once."""

    old: str
    new: str


def _functions(*changes: Change) -> Callable[[], None]:
    def plant() -> None:
        for change in changes:
            found = functions.LIBRARY.count(change.old)
            assert found == 1, f"the functions have {found} times: {change.old}"
            functions.LIBRARY = functions.LIBRARY.replace(change.old, change.new)

    return plant


def _ack_before_append() -> None:
    """What could not be written counts as written, and nobody compares the tail."""
    write = RedisSink.write

    async def acknowledge(self: RedisSink, batch: Batch) -> None:
        try:
            await write(self, batch)
        except SinkUnavailable:
            return

    setattr(RedisSink, "write", acknowledge)  # noqa: B010 (mypy forbids assigning to a method)
    _functions(TAKES_ANY_HOLE)()


TAKES_ANY_HOLE = Change("if args[7] ~= string.format('%d', tail) then", "if false then")

PLANTS: dict[str, Callable[[], None]] = {
    # What is resent is stored again, at the next free place.
    "blind-retry": _functions(
        Change("local skip = tail and tail + 1 - first or 0", "local skip = tail and math.min(0, tail + 1 - first) or 0"),
        Change(
            "redis.call('XADD', keys[1], string.format('%d-%d', ms, id), 'data', args[position + 1])",
            "redis.call('XADD', keys[1], id > (tail or -1) and string.format('%d-%d', ms, id) or ms .. '-*', 'data', "
            "args[position + 1])",
        ),
    ),
    "ack-before-append": _ack_before_append,
    # The entry id is the trade's own time, which goes back now and then.
    "no-clamp": _functions(Change("if time > ms then ms = time end", "ms = time")),
    # A run that was stored in part counts as one that came too late.
    "duplicate-is-late": _functions(
        Change(
            "local position = 10 + skip * 2",
            "if skip > 0 then redis.call('XSETID', keys[1], string.format('%d-%d', ms, first + count - 1)) "
            "return {'OK', first + count - 1, 0, bridged, unpack(foreign)} end local position = 10 + skip * 2",
        )
    ),
    # Ten seconds of market time are kept, whatever the limit says.
    "trim-by-minid": _functions(
        Change(
            "redis.call('XTRIM', keys[1], 'MAXLEN', '~', args[3])",
            "redis.call('XTRIM', keys[1], 'MINID', string.format('%d-0', ms - 10000))",
        )
    ),
    # The key is written, the stream is not.
    "skip-kline-stream": _functions(
        Change(
            "redis.call('XADD', keys[1], '*', 'data', args[position + 8])",
            "if not closed or open % 180000 > 0 then redis.call('XADD', keys[1], '*', 'data', args[position + 8]) end",
        )
    ),
}
"""Name to what plants it."""


def main() -> None:
    """Plant, then be the command line."""
    name = sys.argv.pop(1)
    PLANTS[name]()
    from data_collector.__main__ import main as run  # noqa: PLC0415 (what it imports has its bug by now)

    run()


if __name__ == "__main__":
    main()
