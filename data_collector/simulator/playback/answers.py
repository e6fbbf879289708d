"""The REST side of a recording: to a question that was asked then the answer of then."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from data_collector.recording.reading import Answer

Question = tuple[str, frozenset[tuple[str, str]]]

UNKNOWN_MAX = 1_000
"""Anybody may ask for anything."""

UNKNOWN = 503
"""Not in the recording: whoever asks tries again later, and does not take it for a refusal of the exchange."""


class RecordedAnswers:
    """By question, in the order of time."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers: dict[Question, list[Answer]] = {}
        for answer in answers:
            self._answers.setdefault(_question(answer.asked.path, answer.asked.query), []).append(answer)
        self.given = 0
        self.unknown: Counter[str] = Counter()
        """Questions that nobody had asked."""

    def find(self, path: str, query: Mapping[str, str], now_ns: int) -> Answer | None:
        """The newest one of before, or the first of after; None where that was never asked."""
        found = self._answers.get(_question(path, query))
        if found is None:
            return None
        return found[max(0, bisect_right(found, now_ns, key=lambda answer: answer.ns) - 1)]

    def respond(self, request: web.Request, now_ns: int) -> web.Response:
        """The answer as HTTP."""
        answer = self.find(request.path, dict(parse_qsl(request.query_string, keep_blank_values=True)), now_ns)
        if answer is None:
            if request.path_qs in self.unknown or len(self.unknown) < UNKNOWN_MAX:
                self.unknown[request.path_qs] += 1
            return web.json_response({"error": "not in the recording: nobody asked this then"}, status=UNKNOWN)
        self.given += 1
        headers = {"Content-Type": "application/json"} | answer.asked.headers
        return web.Response(status=answer.asked.status, headers=headers, body=answer.body.unpacked())


def _question(path: str, query: Mapping[str, str]) -> Question:
    return path, frozenset(query.items())
