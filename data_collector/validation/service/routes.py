"""The endpoints that judge and audit, and those that tell how the service is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from data_collector.observe.exposition import CONTENT_TYPE
from data_collector.validation.columns import Kind
from data_collector.validation.messages import Audit, AuditReport, WorkerFault
from data_collector.validation.messages import encode as encode_message
from data_collector.validation.service.bodies import MSGPACK, encoding_of, read_records, read_upload, response_of
from data_collector.validation.service.health import health_of, metrics_text
from data_collector.validation.service.judging import judge_by_gx, judge_compiled
from data_collector.validation.service.rulebook import Rulebook
from data_collector.validation.service.surroundings import Around
from data_collector.web.answers import answered

router = APIRouter()


class _Label(msgspec.Struct):
    """What of a chunk the service looks at."""

    kind: Kind
    digest: str


@router.get("/")
async def index() -> JSONResponse:
    """Where everything is."""
    links = {"health": "/health", "metrics": "/metrics", "suites": "/suites", "data_docs": "/docs-site/"}
    return JSONResponse({"service": "data-validation", "links": links})


@router.get("/health")
async def health(around: Around) -> Response:
    """How the service is: 200 for `healthy` and `degraded`, 503 for `unhealthy`; `reasons` says why."""
    found = health_of(around)
    return answered(found, 503 if found.status == "unhealthy" else 200)


@router.get("/metrics")
async def metrics(around: Around) -> Response:
    """All metrics as Prometheus text (docs/metrics.md)."""
    return Response(metrics_text(around), headers={"Content-Type": CONTENT_TYPE})


@router.post("/validate")
async def validate(
    around: Around, request: Request, engine: Annotated[Literal["compiled", "gx"], Query()] = "compiled"
) -> Response:
    """Judge records by the suite in force: by the gate's own functions, or by real Great Expectations."""
    encoding = encoding_of(request)
    kind, records = read_records(encoding, await around.bodies.read(request))
    suite = around.rulebook.in_force(kind)
    if engine == "compiled":
        judged = await judge_compiled(suite, records, encoding)
    else:
        judged = await judge_by_gx(around.line, suite, records, encoding)
    for outcome, count in judged.outcomes.items():
        around.counters.add("data_validation_records_total", count, kind=kind, engine=engine, outcome=outcome)
    return response_of(encoding, judged.answer)


@router.post("/audit")
async def audit(around: Around, request: Request) -> Response:
    """Check what a collector judged with real Great Expectations; its sender sends again what was not answered."""
    if encoding_of(request) != "msgpack":
        raise HTTPException(415, f"Send the header 'Content-Type: {MSGPACK}'.")
    around.line.refuse_when_busy()
    body = await around.bodies.read(request)
    told = around.findings.answer_to(body)
    if told is not None:
        # Its sender did not hear the answer; what it sends again must not be counted again.
        return Response(told, media_type=MSGPACK)
    upload = read_upload(body)
    suites = _suites_of(around.rulebook, upload.chunks)
    report = await around.line.ask(Audit(upload.source, suites, upload.chunks, for_docs=True))
    if isinstance(report, WorkerFault):
        raise HTTPException(500, f"The chunks could not be audited: {report.message}")
    assert isinstance(report, AuditReport), "it is the answer to Audit"
    around.findings.add(report)
    answer = encode_message(report)
    around.findings.remember(body, answer)
    return Response(answer, media_type=MSGPACK)


@router.get("/docs-site")
async def docs_site() -> RedirectResponse:
    """The Data Docs are a folder."""
    return RedirectResponse("/docs-site/")


def _suites_of(rulebook: Rulebook, chunks: Sequence[msgspec.Raw]) -> dict[str, bytes]:
    """Digest to document of every chunk. Raises 422 for what is no chunk and 409 for a suite that was never here."""
    suites: dict[str, bytes] = {}
    for number, chunk in enumerate(chunks):
        try:
            label = msgspec.msgpack.decode(chunk, type=_Label)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HTTPException(422, f"The body has the wrong shape: {error} - in `$.chunks[{number}]`.") from error
        if label.digest in suites:
            continue
        document = rulebook.document(label.digest)
        if document is None:
            raise HTTPException(
                409,
                f"No {label.kind} suite with the digest {label.digest[:64]!r} was in force here; GET /suites again.",
            )
        suites[label.digest] = document
    return suites
