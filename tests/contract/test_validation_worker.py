"""The Data Validation Service, line by line, where it asks its worker, which is scripted here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from data_collector.validation.auditing import proof
from data_collector.validation.auditing.chunks import Sealed
from data_collector.validation.auditing.messages import (
    Answer,
    Audit,
    AuditReport,
    AuditUpload,
    CheckReport,
    CheckSuite,
    Chunk,
    Disagreement,
    Failure,
    Request,
    Validate,
    ValidateReport,
    WorkerFault,
    answer_decoder,
    encode,
)
from data_collector.validation.auditing.ports import ServicePort
from data_collector.validation.rules.columns import KINDS
from data_collector.validation.rules.suite import shipped_suite
from tests.contract.validation_app import (
    GOOD,
    MSGPACK,
    TOKEN,
    ScriptedWorker,
    rule,
    serving,
    suite,
    until_up,
)
from tests.integration.waiting import until_async
from tests.market import kline

CAP = suite(rule())


def report(**changes: object) -> AuditReport:
    made = AuditReport({"kline": 3}, {"kline": 2}, {"kline": {"price_swing": 1}}, [], [], 0.5, 1000)
    return msgspec.structs.replace(made, **changes)


def upload(digest: str, source: str = "tests") -> bytes:
    return encode(AuditUpload(source, [msgspec.Raw(encode(Chunk("kline", digest, klines=[kline()])))]))


async def test_a_suite_that_gx_refuses_is_not_kept(tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        assert isinstance(request, CheckSuite)
        is_shipped = json.loads(request.suite)["expectations"][-1]["meta"]["rule_id"] != "price_cap"
        return CheckReport([] if is_shipped else ["rule price_cap: not so"])

    async with serving(tmp_path, lambda: ScriptedWorker(answer)) as app:
        await until_up(app)
        refused = await app.put("kline", CAP)
        (tmp_path / "suites").mkdir()
        (tmp_path / "suites" / "kline.json").write_text(json.dumps(CAP))
        await until_async(lambda: app.around.rulebook.faults, "the refusal of the file")
        health = await app.get("/health")

    assert refused.status == 422
    assert "rule price_cap: not so" in refused.detail
    assert health.json["status"] == "degraded"
    assert "rule price_cap: not so" in str(health.json["reasons"])


async def test_audit_sends_the_suites_of_the_digests_and_gives_the_report(tmp_path: Path) -> None:
    found = report()
    worker = ScriptedWorker(lambda request: found if isinstance(request, Audit) else CheckReport([]))
    async with serving(tmp_path, lambda: worker) as app:
        await until_up(app)
        old = (await app.get("/suites/kline")).headers["etag"].strip('"')
        assert (await app.put("kline", CAP)).status == 200

        reply = await app.audit(upload(old))
        text = (await app.get("/metrics")).body.decode()

    assert reply.status == 200
    assert answer_decoder.decode(reply.body) == found
    asked = worker.asked[-1]
    assert isinstance(asked, Audit)
    assert asked.source == "tests"
    assert msgspec.json.decode(asked.suites[old]) == shipped_suite("kline").document()
    assert 'data_validation_audit_rows_total{kind="kline",outcome="refused"} 1.0' in text
    assert 'data_validation_rules_broken_total{kind="kline",rule="price_swing"} 1.0' in text


async def test_audit_of_an_unknown_digest_is_409_and_names_it(tmp_path: Path) -> None:
    async with serving(tmp_path, ScriptedWorker) as app:
        await until_up(app)
        reply = await app.ask("POST", "/audit", MSGPACK, upload("0123456789abcdef"))
        no_chunk = await app.ask("POST", "/audit", MSGPACK, encode(AuditUpload("a", [msgspec.Raw(b"\xc0")])))
        no_upload = await app.ask("POST", "/audit", MSGPACK, b"\xc1")

    assert reply.status == 409
    assert "0123456789abcdef" in reply.detail
    assert (no_chunk.status, no_upload.status) == (422, 422)
    assert "$.chunks[0]" in no_chunk.detail


async def test_four_requests_wait_and_a_further_one_comes_back_later(tmp_path: Path) -> None:
    worker = ScriptedWorker(lambda request: report() if isinstance(request, Audit) else CheckReport([]))
    async with serving(tmp_path, lambda: worker) as app:
        await until_up(app)
        digest = (await app.get("/suites/kline")).headers["etag"].strip('"')
        await until_async(lambda: len(worker.asked) >= len(KINDS), "the checks of the suites")
        worker.free.clear()
        under_way = [asyncio.create_task(app.ask("POST", "/audit", MSGPACK, upload(digest))) for _ in range(5)]
        await until_async(lambda: app.around.worker.waiting == 4, "four that wait")

        refused = await app.ask("POST", "/audit", MSGPACK, upload(digest))
        worker.free.set()
        answered = await asyncio.gather(*under_way)

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert [reply.status for reply in answered] == [200] * 5


async def test_a_worker_that_dies_is_503_and_another_is_started(tmp_path: Path) -> None:
    workers: list[ScriptedWorker] = []

    def make() -> ScriptedWorker:
        workers.append(ScriptedWorker(lambda request: report() if isinstance(request, Audit) else CheckReport([])))
        return workers[-1]

    async with serving(tmp_path, make) as app:
        await until_up(app)
        digest = (await app.get("/suites/kline")).headers["etag"].strip('"')
        workers[0].running = False
        first = await app.ask("POST", "/audit", MSGPACK, upload(digest))
        await until_async(lambda: len(workers) > 1, "another worker")
        await until_up(app)
        second = await app.ask("POST", "/audit", MSGPACK, upload(digest))

    assert first.status == 503
    assert second.status == 200


async def test_a_disagreement_degrades_until_the_suite_changes(tmp_path: Path) -> None:
    found = report(disagreements=[Disagreement("kline", "price_swing", 1, 0, "{}")])
    worker = ScriptedWorker(lambda request: found if isinstance(request, Audit) else CheckReport([]))
    async with serving(tmp_path, lambda: worker) as app:
        await until_up(app)
        digest = (await app.get("/suites/kline")).headers["etag"].strip('"')
        healthy = await app.get("/health")
        await app.audit(upload(digest))
        degraded = await app.get("/health")
        await app.put("kline", CAP)
        again = await app.get("/health")

    assert [reply.json["status"] for reply in (healthy, degraded, again)] == ["healthy", "degraded", "healthy"]
    assert "price_swing" in str(degraded.json["reasons"])


@pytest.mark.parametrize("given", [{}, {"x-audit-proof": "é"}, {"x-audit-proof": "0" * 64}])
async def test_forged_chunk_is_no_evidence(tmp_path: Path, given: dict[str, str]) -> None:
    """A chunk that says the gate accepted what it refuses, from somebody who does not have the token."""
    found = report(disagreements=[Disagreement("kline", "price_swing", 1, 0, "{}")])
    worker = ScriptedWorker(lambda request: found if isinstance(request, Audit) else CheckReport([]))
    async with serving(tmp_path, lambda: worker) as app:
        await until_up(app)
        digest = (await app.get("/suites/kline")).headers["etag"].strip('"')
        reply = await app.ask("POST", "/audit", MSGPACK | given, upload(digest))
        health, text = await app.get("/health"), (await app.get("/metrics")).body.decode()
        asked = worker.asked[-1]
        # The same chunk by a collector is evidence, and not taken for what was answered already.
        await app.audit(upload(digest))
        degraded = await app.get("/health")

    assert reply.status == 200
    assert (health.json["status"], health.json["reasons"]) == ("healthy", [])
    assert isinstance(asked, Audit)
    assert asked.source == "outside tests"
    assert 'data_validation_disagreements_outside_total{kind="kline",rule="price_swing"} 1.0' in text
    assert degraded.json["status"] == "degraded"


async def test_collector_proves_what_it_sends_and_never_sends_the_token() -> None:
    took: list[web.Request] = []
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        took.append(request)
        bodies.append(await request.read())
        return web.Response(body=encode(report()))

    site = web.Application()
    site.router.add_post("/audit", take)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = ServicePort("http://{}:{}".format(*runner.addresses[0][:2]), use_proxy=False, token=TOKEN)
    chunk = encode(Chunk("kline", "0123456789abcdef", klines=[kline()]))
    try:
        await port.audit([Sealed("kline", "0123456789abcdef", b"{}", 1, 1, chunk, 0.0)])
    finally:
        await port.close()
        await runner.cleanup()

    given = took[0].headers[proof.HEADER]
    assert await proof.is_proven(bodies[0], TOKEN, given)
    assert not await proof.is_proven(bodies[0] + b" ", TOKEN, given)
    assert not await proof.is_proven(bodies[0], "another token", given)
    assert TOKEN not in str(took[0].headers)


async def test_without_a_token_nothing_is_evidence(tmp_path: Path) -> None:
    found = report(disagreements=[Disagreement("kline", "price_swing", 1, 0, "{}")])
    worker = ScriptedWorker(lambda request: found if isinstance(request, Audit) else CheckReport([]))
    async with serving(tmp_path, lambda: worker, token=None) as app:
        await until_up(app)
        digest = (await app.get("/suites/kline")).headers["etag"].strip('"')
        await app.audit(upload(digest))
        health = await app.get("/health")

    assert health.json["status"] == "healthy"


@pytest.mark.parametrize(("severity_of", "status"), [("high_not_below_low", 503), ("price_swing", 200)])
async def test_a_rule_that_gx_could_not_evaluate_is_never_passed_over(
    tmp_path: Path, severity_of: str, status: int
) -> None:
    answer = ValidateReport([[]], [Failure("kline", severity_of, "It raised.")])
    worker = ScriptedWorker(lambda request: answer if isinstance(request, Validate) else CheckReport([]))
    async with serving(tmp_path, lambda: worker) as app:
        await until_up(app)
        reply = await app.validate({"kind": "kline", "records": [GOOD]}, "engine=gx")

    assert reply.status == status
    assert severity_of in reply.body.decode()
    assert status == 503 or reply.json["not_evaluated"] == [{"rule": severity_of, "message": "It raised."}]


async def test_a_request_that_the_worker_cannot_carry_out_is_500(tmp_path: Path) -> None:
    worker = ScriptedWorker(lambda request: WorkerFault("KeyError: x"))
    async with serving(tmp_path, lambda: worker) as app:
        await until_up(app)
        digest = (await app.get("/suites/kline")).headers["etag"].strip('"')
        audit = await app.ask("POST", "/audit", MSGPACK, upload(digest))
        validate = await app.validate({"kind": "kline", "records": [GOOD]}, "engine=gx")

    assert (audit.status, validate.status) == (500, 500)
    assert "KeyError: x" in audit.detail
