"""The request side of any exchange: session, bounds, budget, keys, and what follows from what an answer means."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, Unpack

import aiohttp
import msgspec

from data_collector.decoding.bounded import bounded
from data_collector.model.backoff import RepeatedAnswer
from data_collector.model.errors import VenueRefused, VenueUnreachable
from data_collector.model.venue import RestOptions
from data_collector.observe.counters import Counters
from data_collector.outgoing import UNREACHED, open_session, reason_of
from data_collector.rest.budget import RestBudget
from data_collector.rest.judging import Answer, Judgement
from data_collector.rest.pages import BadPage

TIMEOUT_S = 10.0
"""For a whole answer; exchanges give themselves no more."""

BODY_BYTES_MAX = 64 * 1024 * 1024
"""The list of every symbol is the largest answer, some 10 MiB."""

DEFAULT_WAIT_S = 60.0
"""After 429 and 418 without Retry-After: the rest of a minute at most."""

WAIT_S_MIN = 1.0
"""Whoever is told to wait and goes on at once is banned for longer, even if the time told was nothing."""

FAILED_WAIT_S_MAX = 900.0
"""The longest wait that an answer may ask for that is no limit and no ban: nothing can be repaired meanwhile."""

UNSERVED_S = 3600.0
"""After 451."""

Body = TypeVar("Body")
Made = TypeVar("Made")


class BareStatus(VenueUnreachable):
    """A status that is final when it comes again and again, and may pass."""


class RestClient(ABC):
    """What an `ExchangeApi` stands on. A venue says what its answers mean, and what its calls weigh.

    `urgent` calls repair the live feed and may use the whole of our share of the budget; the others, which catch up
    with the past, half of it.
    """

    key_header = ""
    """In which a key is sent, where an endpoint asks for one."""

    def __init__(self, url: str, budget: RestBudget, **options: Unpack[RestOptions]) -> None:
        self._base_url = url
        self._budget = budget
        self._use_proxy = options.get("use_proxy", False)
        self._counters = options.get("counters") or Counters()
        self._api_key = options.get("api_key")
        self._note = options.get("note")
        self._keyed: set[str] = set()
        """Paths that have asked for a key."""
        self._unkeyed: dict[str, str] = {}
        """By path: what was answered for want of the right key, and the cure."""
        self._bare: dict[str, RepeatedAnswer] = {}
        """By path."""
        self._session: aiohttp.ClientSession | None = None

    @abstractmethod
    def judge(self, path: str, answer: Answer) -> Judgement:
        """What it means. Pure."""

    @property
    def key_wanted(self) -> str | None:
        """What was answered where the right key was wanting, and the cure."""
        return next(iter(self._unkeyed.values()), None)

    @property
    def background_weight_per_minute(self) -> int:
        """Half of our share of what the exchange allows."""
        return self._budget.background_weight

    @property
    def weight_used(self) -> int:
        """Of this minute."""
        return self._budget.used

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(
        self, path: str, query: Mapping[str, str], weight: int, kind: type[Body], *, urgent: bool = True
    ) -> Body:
        async with self._budget.passage(weight, urgent=urgent) as passage:
            # Others that ask meanwhile may learn first that the path wants it.
            key = self._api_key if path in self._keyed else None
            answer = await self._ask(path, query, key)
            judgement = self.judge(path, answer)
            passage.used = judgement.used
            asks_for_key = judgement.asks_for_key and key is None and self._api_key is not None
            if judgement.meaning != "ok" and not asks_for_key:
                # Told to the budget before this place is given to another request.
                raise self._refusal(path, judgement)
        if asks_for_key:
            self._keyed.add(path)
            return await self._get(path, query, weight, kind, urgent=urgent)
        try:
            body = msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._count("malformed")
            raise VenueUnreachable(f"{path} was answered with something else ({error})") from error
        self._bare.pop(path, None)
        self._unkeyed.pop(path, None)
        self._count("ok")
        self._budget.all_is_well()
        return body

    async def _of_each(self, symbols: Sequence[str], ask: Callable[[str], Awaitable[Made]]) -> dict[str, Made]:
        """What is told of each symbol; nothing of one that alone is refused."""
        found: dict[str, Made] = {}
        for symbol in symbols:
            try:
                found[symbol] = await ask(symbol)
            except VenueRefused as refusal:
                if refusal.endpoint_wide:
                    raise
        return found

    def _trusted(self, make: Callable[[], Made]) -> Made:
        """What is made of an answer, unless it contradicts the question or itself: that is counted."""
        try:
            return make()
        except BadPage:
            self._counters.add("data_collector_rest_bad_pages_total")
            raise

    async def _ask(self, path: str, query: Mapping[str, str], key: str | None) -> Answer:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = open_session(self._base_url, use_proxy=self._use_proxy, timeout=timeout)
        try:
            headers = None if key is None else {self.key_header: key}
            asked_ns = time.time_ns()
            request = self._session.get(self._base_url + path, params=query, headers=headers, allow_redirects=False)
            async with request as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > BODY_BYTES_MAX:
                        self._count("malformed")
                        raise VenueUnreachable(f"{path} was answered with more than {BODY_BYTES_MAX} bytes")
                answer = Answer(response.status, response.headers, bytes(body))
                if self._note is not None:
                    self._note(path, query, answer.status, answer.headers, answer.body, asked_ns)
                return answer
        except TimeoutError as error:
            self._count("timeout")
            raise VenueUnreachable(f"{self._base_url} did not answer within {TIMEOUT_S:g} s") from error
        except UNREACHED as error:
            self._count("unreachable")
            raise VenueUnreachable(f"{self._base_url} cannot be reached ({reason_of(error)})") from error

    def _refusal(self, path: str, judgement: Judgement) -> VenueRefused | VenueUnreachable:
        reason, wait_s = f"{path} was answered with {judgement.words}", judgement.wait_s
        meaning = judgement.meaning
        if wait_s is not None and meaning in ("bare", "failed"):
            wait_s = bounded(wait_s, FAILED_WAIT_S_MAX, 0.0)
        if meaning == "bare":
            return self._bare_refusal(path, reason, wait_s)
        self._bare.pop(path, None)
        self._count(meaning)
        match meaning:
            case "limited" | "banned":
                return self._blocked(reason, DEFAULT_WAIT_S if wait_s is None else max(wait_s, WAIT_S_MIN))
            case "unserved":
                # Waiting changes nothing about where we are; once an hour shows whether somebody has.
                return self._blocked(reason, UNSERVED_S)
            case "forbidden":
                return self._blocked(reason, self._budget.back_off(reason) if wait_s is None else wait_s)
            case "refused":
                if judgement.wants_key:
                    self._unkeyed[path] = reason
                return VenueRefused(reason, endpoint_wide=judgement.endpoint_wide)
        return VenueUnreachable(reason) if wait_s is None else self._blocked(reason, wait_s)

    def _bare_refusal(self, path: str, reason: str, wait_s: float | None) -> VenueRefused | VenueUnreachable:
        if self._bare.setdefault(path, RepeatedAnswer()).note(time.monotonic()):
            self._count("refused")
            return VenueRefused(f"{reason}, again and again", endpoint_wide=True)
        self._count("failed")
        return BareStatus(reason) if wait_s is None else self._blocked(reason, wait_s)

    def _blocked(self, reason: str, wait_s: float) -> VenueUnreachable:
        self._budget.block(wait_s, reason)
        self._counters.set("data_collector_rest_banned_until_seconds", self._budget.blocked_until_s)
        return VenueUnreachable(reason, retry_after_s=wait_s)

    def _count(self, outcome: str) -> None:
        self._counters.add("data_collector_rest_requests_total", outcome=outcome)
