"""The endpoints to read and edit the suites, which is how users add rules of their own."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from data_collector.model.errors import SuiteRefused
from data_collector.validation.columns import KINDS, Kind
from data_collector.validation.service.rulebook import Accepted, Stale
from data_collector.validation.service.surroundings import Around
from data_collector.web.answers import Answer, answered

router = APIRouter(prefix="/suites")


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


@router.get("")
async def suites(around: Around) -> Response:
    """Which suites are in force."""
    found: dict[str, SuiteEntry] = {}
    for kind in KINDS:
        compiled = around.rulebook.in_force(kind)
        count = sum(not rule.disabled for rule in compiled.suite.rules)
        found[kind] = SuiteEntry(digest=compiled.digest, rules=count, url=f"/suites/{kind}")
    return answered(Suites(found, around.rulebook.faults))


@router.get("/{kind}")
async def suite(kind: Kind, around: Around, request: Request) -> Response:
    """The whole suite in force as Great Expectations reads it; the ETag is its digest."""
    compiled = around.rulebook.in_force(kind)
    headers = {"ETag": f'"{compiled.digest}"', "Cache-Control": "no-cache"}
    known = request.headers.get("if-none-match")
    if known is not None and _names(known, compiled.digest):
        return Response(status_code=304, headers=headers)
    return Response(compiled.suite.encoded(), media_type="application/json", headers=headers)


@router.put("/{kind}")
async def replace(kind: Kind, around: Around, request: Request) -> Response:
    """Replace the user's rules of a kind; shipped rules that the document does not name stay in force."""
    expected = request.headers.get("if-match")
    body = await request.body()
    try:
        accepted = await around.rulebook.put(
            kind, body, expected=lambda digest: expected is None or _names(expected, digest)
        )
    except Stale as error:
        raise HTTPException(412, f"The {kind} suite has changed since; GET /suites/{kind} again.") from error
    except SuiteRefused as error:
        raise HTTPException(422, str(error)) from error
    except OSError as error:
        raise HTTPException(503, f"The suite cannot be written to SUITES_DIR ({error.strerror}).") from error
    return answered(_accepted(kind, accepted))


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
