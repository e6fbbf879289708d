"""What goes between those who judge records and the audit worker, in msgpack.

The collector seals what it judged into chunks (`validation.auditing.auditor`); an embedded worker gets them over its
link, a validation service by HTTP. Requests are answered one at a time, in order. Nothing here imports Great
Expectations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from data_collector.model.records import Kline, Quote, Ticker, Trade
from data_collector.validation.rules.columns import Checked, Kind, Value

READY: Final = b""
"""The worker's first frame: it has imported everything and can answer."""

SOURCE_CHARACTERS_MAX: Final = 128


class Chunk(Struct, omit_defaults=True):
    """Records of one kind, in the order of their arrival, and what the gate said of them."""

    kind: Kind
    digest: str
    """Of the suite that judged them."""
    trades: list[Trade] = []
    klines: list[Kline] = []
    tickers: list[Ticker] = []
    quotes: list[Quote] = []
    broken: dict[int, list[str]] = {}
    """Row to the ids of the suite's gated rules that the gate found broken; rows that are not named broke none."""
    refused: list[int] = []
    """Rows that were not stored, for whatever reason."""
    late: list[int] = []
    """Rows that were stored after their place had been passed."""
    sizes: dict[str, tuple[float, float]] = {}
    """Symbol to tick size and step size, as far as the exchange's list is known; 0: none."""

    @property
    def records(self) -> Sequence[Checked]:
        """Those of its kind."""
        found: Sequence[Checked] = getattr(self, f"{self.kind}s")
        return found

    @records.setter
    def records(self, records: Sequence[Checked]) -> None:
        setattr(self, f"{self.kind}s", records)


class AuditPart(Struct, tag=True):
    """Chunks of the `Audit` that comes next, which may be long. Answered with `Taken`."""

    chunks: list[msgspec.Raw]
    """msgpack of `Chunk`."""
    is_first: bool


class Audit(Struct, tag=True):
    """Check chunks with real Great Expectations. Answered with an `AuditReport`."""

    source: str
    """Whose records these are: what is known of the records before them is kept per source."""
    suites: dict[str, bytes]
    """Digest to the suite document (JSON), of every chunk."""
    chunks: list[msgspec.Raw]
    """msgpack of `Chunk`."""
    chunks_before: int = 0
    """How many have come in parts; these come first."""
    for_docs: bool = False
    """Whether the results are kept for `BuildDocs`, which costs some milliseconds a batch."""


class AuditUpload(Struct):
    """What a collector posts to `/audit` of a validation service, which knows the suites by their digests.

    Answered with an `AuditReport`.
    """

    source: Annotated[str, Meta(min_length=1, max_length=SOURCE_CHARACTERS_MAX)]
    """As in `Audit`."""
    chunks: list[msgspec.Raw]
    """msgpack of `Chunk`."""


class Validate(Struct, tag=True):
    """Check rows with real Great Expectations. Answered with a `ValidateReport`."""

    kind: Kind
    suite: bytes
    rows: list[list[Value]]
    """Values in the order of `columns.GATE_COLUMNS`; columns that only an audit knows are null."""


class CheckSuite(Struct, tag=True):
    """Load a suite as Great Expectations would. Answered with a `CheckReport`."""

    kind: Kind
    suite: bytes


class BuildDocs(Struct, tag=True):
    """Write real Data Docs of the newest audits. Answered with a `DocsReport`."""

    folder: str
    """Does not exist yet."""
    keep: int
    """At most so many validation results are shown."""


Request = AuditPart | Audit | Validate | CheckSuite | BuildDocs


class Disagreement(Struct):
    """A rule of which the gate and Great Expectations say different things: a bug of ours, and an alarm."""

    kind: Kind
    rule: str
    gate_only: int
    """Rows that only the gate found broken."""
    gx_only: int
    sample: str
    """One such record as JSON."""


class Failure(Struct):
    """A rule that Great Expectations could not evaluate; the rows count as checked by the others."""

    kind: Kind
    rule: str
    message: str


class AuditReport(Struct, tag=True):
    """What an audit found. Counts are of rows."""

    rows: dict[Kind, int]
    """Checked, accepted and refused."""
    accepted: dict[Kind, int]
    """Those of them that the collector stored."""
    broken: dict[Kind, dict[str, int]]
    """Rule to rows that broke it. Of a rule about a whole batch 1 for each batch that broke it."""
    disagreements: list[Disagreement]
    failures: list[Failure]
    seconds: float
    """CPU time: on a busy machine a worker of low priority waits more than it works."""
    memory_bytes: int
    pairs: dict[Kind, int] = {}
    """Pairs of a rule in force and a row that its `row_condition` selects, as we count them; of rules about a batch as
    a whole none."""
    evaluated: dict[Kind, int] = {}
    """Such pairs that Great Expectations says it has evaluated."""
    worker_starts: int = 0
    """Of a worker that several collectors share: how often it has been started."""


class Taken(Struct, tag=True):
    """A part has come."""


class ValidateReport(Struct, tag=True):
    """Per row the ids of the broken rules."""

    broken: list[list[str]]
    failures: list[Failure]
    broken_as_a_whole: list[str] = []
    """Rules about all rows together that these break."""


class CheckReport(Struct, tag=True):
    """Whether a suite can be used."""

    faults: list[str]
    """Sentences that name the rule; empty when it can."""


class DocsReport(Struct, tag=True):
    """The Data Docs that were built."""

    results: int
    """Validation results in them. With none, there is no folder either."""


class WorkerFault(Struct, tag=True):
    """The request could not be carried out; the worker goes on."""

    message: str


class NoAnswer(Struct, tag=True):
    """Of a worker that several collectors share: nobody answers this request."""

    message: str
    is_suspect: bool
    """Whether the worker had the request when it failed, so that the request may be why."""


Answer = Taken | AuditReport | ValidateReport | CheckReport | DocsReport | WorkerFault | NoAnswer

encode: Final = msgspec.msgpack.Encoder().encode
request_decoder: Final = msgspec.msgpack.Decoder(Request)
answer_decoder: Final = msgspec.msgpack.Decoder(Answer)
chunk_decoder: Final = msgspec.msgpack.Decoder(Chunk)
