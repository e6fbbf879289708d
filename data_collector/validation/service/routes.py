"""The endpoints: judging and auditing, how the service is, and the suites, to which users add rules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from data_collector.model.errors import SuiteRefused
from data_collector.observe.exposition import CONTENT_TYPE
from data_collector.validation.auditing import proof
from data_collector.validation.auditing.messages import Audit, AuditReport, WorkerFault
from data_collector.validation.auditing.messages import encode as encode_message
from data_collector.validation.rules.columns import KINDS, Kind
from data_collector.validation.service.bodies import MSGPACK, encoding_of, read_records, response_of
from data_collector.validation.service.context import Context, ServiceContext
from data_collector.validation.service.health import health_of, metrics_text
from data_collector.validation.service.judging import judge_by_gx, judge_compiled
from data_collector.validation.service.rulebook import Accepted, Rulebook, Stale
from data_collector.validation.service.uploads import Label, read_upload
from data_collector.web.answers import Answer, answered

router = APIRouter()

OUTSIDE = "outside"
"""What Data Docs, and what the worker remembers, are filed under begins so where nobody has shown whose it is."""


class SuiteEntry(Answer):
    """A suite in force."""

    digest: str
    rules: int
    """How many are in force; those that a user disabled are not."""
    url: str


class Suites(Answer):
    """All suites, and files of SUITES_DIR that are refused."""

    suites: dict[str, SuiteEntry]
    faults: dict[str, str]


class SuiteAccepted(Answer):
    """What a PUT did."""

    kind: Kind
    digest: str
    rules: int
    kept: list[str]
    """Ids of the rules that are stored as the user's: new ones, and shipped ones in other words."""
    shipped: int
    """How many shipped rules are in force."""
    note: str | None = None
    """What could not be checked now."""


@router.get("/")
async def index() -> JSONResponse:
    """Where everything is."""
    links = {"health": "/health", "metrics": "/metrics", "suites": "/suites", "data_docs": "/docs-site/"}
    return JSONResponse({"service": "data-validation", "links": links})


@router.get("/health")
async def health(context: Context) -> Response:
    """How the service is: 200 for `healthy` and `degraded`, 503 for `unhealthy`; `reasons` says why."""
    found = health_of(context)
    return answered(found, 503 if found.status == "unhealthy" else 200)


@router.get("/metrics")
async def metrics(context: Context) -> Response:
    """All metrics as Prometheus text (docs/metrics.md)."""
    return Response(metrics_text(context), headers={"Content-Type": CONTENT_TYPE})


@router.post("/validate")
async def validate(
    context: Context, request: Request, engine: Annotated[Literal["compiled", "gx"], Query()] = "compiled"
) -> Response:
    """Judge records by the suite in force: by the gate's own functions, or by real Great Expectations."""
    encoding = encoding_of(request)
    async with context.bodies.read(request) as body:
        kind, records = read_records(encoding, body)
        suite = context.rulebook.in_force(kind)
        if engine == "compiled":
            judged = await judge_compiled(suite, records, encoding)
        else:
            judged = await judge_by_gx(context.worker, suite, records, encoding)
    for outcome, count in judged.outcomes.items():
        context.counters.add("data_validation_records_total", count, kind=kind, engine=engine, outcome=outcome)
    return response_of(encoding, judged.answer)


@router.post("/audit")
async def audit(context: Context, request: Request) -> Response:
    """Check what a collector judged with real Great Expectations; its sender sends again what was not answered.

    Only what comes with a proof of the token is evidence: other chunks, which anybody may send, are named so.
    """
    if encoding_of(request) != "msgpack":
        raise HTTPException(415, f"Send the header 'Content-Type: {MSGPACK}'.")
    context.worker.refuse_when_busy()
    async with context.bodies.read(request) as body:
        is_ours = await proof.is_proven(body, context.options.token, request.headers.get(proof.HEADER, ""))
        answer = context.findings.answer_to(body, is_ours=is_ours)
        if answer is None:
            answer = await _audited(context, body, is_ours=is_ours)
            context.findings.remember(body, answer, is_ours=is_ours)
        # Else its sender did not hear the answer; what it sends again must not be counted again.
    return Response(answer, media_type=MSGPACK)


async def _audited(context: ServiceContext, body: bytes, *, is_ours: bool) -> bytes:
    upload, labels = read_upload(body)
    suites = _suites_of(context.rulebook, labels)
    source = upload.source if is_ours else f"{OUTSIDE} {upload.source}"
    report = await context.worker.ask(Audit(source, suites, upload.chunks, for_docs=True))
    if isinstance(report, WorkerFault):
        raise HTTPException(500, f"The chunks could not be audited: {report.message}")
    assert isinstance(report, AuditReport), "it is the answer to Audit"
    context.findings.add(report, is_ours=is_ours)
    return encode_message(report)


@router.get("/docs-site")
async def docs_site() -> RedirectResponse:
    """The Data Docs are a folder."""
    return RedirectResponse("/docs-site/")


@router.get("/suites")
async def suites(context: Context) -> Response:
    """Which suites are in force."""
    found: dict[str, SuiteEntry] = {}
    for kind in KINDS:
        compiled = context.rulebook.in_force(kind)
        count = sum(not rule.disabled for rule in compiled.suite.rules)
        found[kind] = SuiteEntry(digest=compiled.digest, rules=count, url=f"/suites/{kind}")
    return answered(Suites(found, context.rulebook.faults))


@router.get("/suites/{kind}")
async def suite(kind: Kind, context: Context, request: Request) -> Response:
    """The whole suite in force as Great Expectations reads it; the ETag is its digest."""
    compiled = context.rulebook.in_force(kind)
    headers = {"ETag": f'"{compiled.digest}"', "Cache-Control": "no-cache"}
    known = request.headers.get("if-none-match")
    if known is not None and _names(known, compiled.digest):
        return Response(status_code=304, headers=headers)
    return Response(compiled.suite.encoded(), media_type="application/json", headers=headers)


@router.put("/suites/{kind}")
async def replace(kind: Kind, context: Context, request: Request) -> Response:
    """Replace the user's rules of a kind; shipped rules that the document does not name stay in force."""
    expected = request.headers.get("if-match")
    body = await request.body()
    try:
        accepted = await context.rulebook.put(
            kind, body, expected=lambda digest: expected is None or _names(expected, digest)
        )
    except Stale as error:
        raise HTTPException(412, f"The {kind} suite has changed since; GET /suites/{kind} again.") from error
    except SuiteRefused as error:
        raise HTTPException(422, str(error)) from error
    except OSError as error:
        raise HTTPException(503, f"The suite cannot be written to SUITES_DIR ({error.strerror}).") from error
    return answered(_accepted(kind, accepted))


def _suites_of(rulebook: Rulebook, labels: Sequence[Label]) -> dict[str, bytes]:
    """Digest to document of every chunk. Raises 409 for a suite that was never here."""
    suites: dict[str, bytes] = {}
    for label in labels:
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


def _accepted(kind: Kind, accepted: Accepted) -> SuiteAccepted:
    in_force = [rule for rule in accepted.suite.rules if not rule.disabled]
    return SuiteAccepted(
        kind=kind,
        digest=accepted.suite.digest,
        rules=len(in_force),
        kept=accepted.kept,
        shipped=sum(rule.source == "shipped" for rule in in_force),
        note=None if accepted.checked else "The worker is not up: Great Expectations itself will load it later.",
    )


def _names(header: str, digest: str) -> bool:
    """Whether a list of entity tags has this digest."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or digest in tags
