"""A request under way, and what the exchange has said of each of its streams. Pure.

Life cycle: the conversation makes one for each request that it sends, shows it every answer until it is done, and gives
it to `RefusedStreams` then. Exchanges answer in one frame or in many: a whole request, single streams of it, a symbol,
or all that is subscribed; some name the request, others do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from data_collector.model.venue import Acknowledged, Listed, Refused, Request

Answer = Acknowledged | Refused | Listed


class Asked:
    """Of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.waiting = dict(zip(request.streams, request.symbols, strict=True))
        """Streams of which nothing was said, with their symbols."""
        self.agreed: list[str] = []
        self.refused: dict[str, Refused] = {}
        """Streams that were refused by name."""
        self.refusal: Refused | None = None
        """Of the streams that wait, all or some: it does not tell which."""

    @property
    def is_done(self) -> bool:
        """Whether no more answers are due."""
        return not self.waiting or self.refusal is not None

    @property
    def is_answered(self) -> bool:
        """Whether anything was said."""
        return self.is_done or bool(self.agreed or self.refused)

    @property
    def first_refusal(self) -> Refused | None:
        """That of the whole, or of some stream."""
        return self.refusal or next(iter(self.refused.values()), None)

    def take(self, answer: Answer) -> bool:
        """Whether the answer is about this request."""
        if answer.number is not None and answer.number != self.request.number:
            return False
        if isinstance(answer, Refused) and answer.symbol is None:
            self.refusal = answer
            return True
        meant = list(self._meant(answer))
        for stream in meant:
            del self.waiting[stream]
            if isinstance(answer, Refused):
                self.refused[stream] = answer
            else:
                self.agreed.append(stream)
        return bool(meant)

    def _meant(self, answer: Answer) -> Iterator[str]:
        match answer:
            case Refused():
                return (stream for stream, symbol in self.waiting.items() if symbol == answer.symbol)
            case Listed():
                return self._in_force(set(answer.streams))
            case Acknowledged():
                named = None if answer.streams is None else set(answer.streams)
                return (stream for stream in self.waiting if named is None or stream in named)

    def _in_force(self, listed: Collection[str]) -> Iterator[str]:
        """What was asked for is subscribed now, or what was given up is not."""
        return (stream for stream in self.waiting if (stream in listed) == self.request.adds)


class Survey:
    """The question what is subscribed, under way."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.answer: Answer | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was answered."""
        return self.answer is not None

    @property
    def is_answered(self) -> bool:
        """There is but one answer."""
        return self.is_done

    def take(self, answer: Answer) -> bool:
        """Whether the answer is to this question."""
        if answer.number not in (None, self._number):
            return False
        self.answer = answer
        return True
