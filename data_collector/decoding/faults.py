"""Frames that are not as they should be, and those that nobody asked for."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager

import msgspec

from data_collector.model.errors import BadFrame
from data_collector.model.venue import UnknownEvent

KIND_CHARACTERS_MAX = 64
"""A kind is repeated in logs; the longest documented one has 14 characters."""


def unknown(kind: str) -> UnknownEvent:
    """A kind that is not read."""
    return UnknownEvent(kind[:KIND_CHARACTERS_MAX])


def wrong_shape(kind: object, error: Exception, symbols: Collection[str | None]) -> BadFrame:
    """A message of a kind that is read, and that cannot be; of a symbol, where it is about one alone."""
    symbol = next(iter(symbols)) if len(symbols) == 1 else None
    return BadFrame(f"A {kind} message is not of the documented shape: {error}", reason="wrong_shape", symbol=symbol)


@contextmanager
def told_as_bad_frames() -> Generator[None]:
    """What msgspec raises within becomes a `BadFrame`."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise BadFrame(f"The frame is not of the documented shape: {error}", reason="wrong_shape") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame(f"The frame is not JSON: {error}", reason="not_json") from error
    except RecursionError as error:
        raise BadFrame("The frame is nested too deep.", reason="not_json") from error
