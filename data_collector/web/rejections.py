"""Refusing a request at the door: one JSON answer, one counter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from starlette.responses import JSONResponse

from data_collector.model.status import Sample

Reason = Literal["body", "url", "headers", "timeout", "rate", "host", "origin", "token", "content_type", "viewers"]
"""What a request was refused for; the label of `data_collector_api_rejected_total`."""


class Rejection(Struct, frozen=True):
    """The answer to a request that gets no further."""

    status: int
    reason: Reason
    detail: str


class Rejections:
    """Counts refusals since the HTTP process started; `metric` is the name that the program gives the count."""

    def __init__(self, metric: str = "data_collector_api_rejected_total") -> None:
        self._metric = metric
        self._counts: Counter[Reason] = Counter()

    def answer(self, rejection: Rejection, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Count it and make its response."""
        self._counts[rejection.reason] += 1
        return JSONResponse({"detail": rejection.detail}, rejection.status, headers)

    def samples(self) -> list[Sample]:
        """For the metrics page."""
        return [Sample(self._metric, count, {"reason": reason}) for reason, count in self._counts.items()]
