"""What an answer means: what every exchange means by its status, and the words to tell it in. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from data_collector.decoding.bounded import retry_after_s
from data_collector.model.venue import HINT_451
from data_collector.observe.escaping import escaped

ENDPOINT_STATUSES = frozenset({401, 404, 405, 410})
"""Nobody may ask that endpoint, or there is none: hosts for market data alone have no trades by id.

Without the exchange's own error a proxy may have answered, or a host that is just being renewed: that passes.
"""

SHOWN_CHARACTERS = 120
"""Of what came instead of an error of the exchange."""

Meaning = Literal["ok", "limited", "banned", "unserved", "forbidden", "bare", "refused", "failed"]
"""`unserved`: the exchange does not serve this place. `bare`: one of `ENDPOINT_STATUSES` without words of the exchange,
final when it comes again and again. `refused`: final at once. `failed`: it passes."""

_TAG = re.compile("<[^<>]*>")


class Answer(Struct, frozen=True):
    """As it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Judgement(Struct, frozen=True):
    """What an answer means."""

    meaning: Meaning = "ok"
    words: str = ""
    """With which it is told, after "was answered with"."""
    wait_s: float | None = None
    """What it asks us to wait; of `limited` and `banned` None is the rest of a minute."""
    used: int | None = None
    """What the exchange counts of this minute, where it tells."""
    asks_for_key: bool = False
    """It may be another answer with a key."""
    wants_key: bool = False
    """Refused for want of a key; the words name the cure."""
    endpoint_wide: bool = False
    """Refused is every request of that kind."""


def judged_by_status(answer: Answer, told: str, hint_451: str = HINT_451) -> Judgement:
    """An answer that is in order or not by its status alone; `told` are the words that came with it."""
    status = answer.status
    words = f"HTTP {status}{told}"
    wait_s = retry_after_s(answer.headers.get("Retry-After", ""))
    match status:
        case 200:
            return Judgement()
        case 429:
            return Judgement("limited", words, wait_s)
        case 418:
            return Judgement("banned", words, wait_s)
        case 451:
            return Judgement("unserved", f"{words}. {hint_451}")
        case 403:
            return Judgement("forbidden", words, wait_s)
    return Judgement("bare" if status in ENDPOINT_STATUSES else "failed", words, wait_s)


def page_told(body: bytes) -> str:
    """The words of a page that is no error of the exchange."""
    words = shortened(_TAG.sub(" ", body[: 10 * SHOWN_CHARACTERS].decode(errors="replace")))
    return f": {words}" if words else ""


def shortened(text: str) -> str:
    """What others wrote, fit to be told in a line."""
    words = " ".join(text[: 10 * SHOWN_CHARACTERS].split())
    return escaped(words if len(words) <= SHOWN_CHARACTERS else f"{words[:SHOWN_CHARACTERS]}…")
