"""The Data Validation Service, line by line, where it needs no Great Expectations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from data_collector.validation.auditing.messages import (
    encode,
)
from data_collector.validation.rules.columns import KINDS
from data_collector.validation.rules.suite import shipped_suite
from data_collector.validation.service.bodies import AUDIT_BYTES_MAX, RECORDS_MAX, VALIDATE_BYTES_MAX
from data_collector.validation.service.rulebook import SUITES_KEPT, PastSuites
from tests.contract.validation_app import (
    BAD,
    GOOD,
    JSON,
    MSGPACK,
    WITH_TOKEN,
    AbsentWorker,
    App,
    rule,
    serving,
    suite,
)

CAP = suite(rule())


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """The service while its worker is not up."""
    async with serving(tmp_path, AbsentWorker) as app:
        yield app


async def test_validate_answers_in_the_order_of_the_records(app: App) -> None:
    reply = await app.validate({"kind": "kline", "records": [GOOD, BAD, GOOD]})

    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json) == ["kind", "engine", "results"]
    assert reply.json["kind"] == "kline"
    assert reply.json["engine"] == "compiled"
    results = msgspec.convert(reply.json["results"], list[dict[str, object]])
    assert [result["valid"] for result in results] == [True, False, True]
    assert results[0] == {"valid": True, "failed": []}
    first = msgspec.convert(results[1]["failed"], list[dict[str, str]])[0]
    assert list(first) == ["rule", "severity", "message"]
    assert first["severity"] == "critical"


@pytest.mark.parametrize("media_type", ["application/msgpack", "application/x-msgpack"])
async def test_msgpack_is_answered_with_msgpack(app: App, media_type: str) -> None:
    body = msgspec.msgpack.encode({"kind": "kline", "records": [GOOD, BAD]})

    reply = await app.ask("POST", "/validate", {"content-type": media_type}, body)

    assert reply.headers["content-type"] == "application/msgpack"
    results = msgspec.msgpack.decode(reply.body)["results"]
    assert [result["valid"] for result in results] == [True, False]


async def test_a_warning_leaves_a_record_valid(app: App) -> None:
    swing = {**GOOD, "high": 4_510_010.0}

    reply = await app.validate({"kind": "kline", "records": [swing]})

    result = msgspec.convert(reply.json["results"], list[dict[str, object]])[0]
    assert result["valid"] is True
    assert "price_swing" in str(result["failed"])


async def test_any_further_columns_are_taken(app: App) -> None:
    reply = await app.validate({"kind": "kline", "records": [{**GOOD, "event_ms": 1, "note": {"any": ["thing"]}}]})

    assert "event_time_range" in str(reply.json["results"])


async def test_no_records_are_no_results(app: App) -> None:
    reply = await app.validate({"kind": "trade", "records": []})

    assert reply.json["results"] == []


async def test_ten_thousand_records_are_judged_while_others_are_served(app: App) -> None:
    body = {"kind": "kline", "records": [GOOD] * RECORDS_MAX}
    judging = asyncio.create_task(app.validate(body))
    health = 0
    while not judging.done():
        await asyncio.sleep(0)
        health += (await app.get("/health")).status == 200 if health < 20 else 0

    reply = await judging

    assert len(msgspec.convert(reply.json["results"], list[object])) == RECORDS_MAX
    # One could have been answered before the first of the records was looked at.
    assert health >= 2


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"no json", "malformed"),
        (b"[]", "object"),
        (b'{"records": []}', "`kind`"),
        (b'{"kind": "kline"}', "`records`"),
        (b'{"kind": "candle", "records": []}', "$.kind"),
        (b'{"kind": "kline", "records": {}}', "$.records"),
        (b'{"kind": "kline", "records": [{}, 1]}', "$.records[1]"),
        (b'{"kind": "kline", "records": [{}, {}, {}, {"open": "1"}]}', "$.records[3].open"),
        (b'{"kind": "trade", "records": [{"is_buyer_maker": 1}]}', "$.records[0].is_buyer_maker"),
        (b'{"kind": "kline", "records": ' + b"[" * 200_000, "The body has the wrong shape"),
        (b'{"kind": "kline", "records": [{"symbol": "\xff"}]}', "The body has the wrong shape"),
    ],
)
async def test_wrong_shape_is_told_in_a_sentence_that_names_the_place(app: App, body: bytes, place: str) -> None:
    reply = await app.ask("POST", "/validate", JSON, body)

    assert reply.status == 422
    assert place in reply.detail
    assert "Traceback" not in reply.detail
    assert "\n" not in reply.detail


@pytest.mark.parametrize("count", [RECORDS_MAX + 1, RECORDS_MAX * 9])
async def test_too_many_records_are_422(app: App, count: int) -> None:
    as_json = await app.ask("POST", "/validate", JSON, b'{"kind": "kline", "records": [' + b"{}," * count + b"{}]}")
    as_msgpack = await app.ask("POST", "/validate", MSGPACK, encode({"kind": "kline", "records": [{}] * count}))

    assert (as_json.status, as_msgpack.status) == (422, 422)
    assert "$.records" in as_json.detail
    assert "$.records" in as_msgpack.detail


async def test_too_large_a_body_is_413(app: App) -> None:
    validate = await app.ask("POST", "/validate", JSON, b" " * (VALIDATE_BYTES_MAX + 1))
    audit = await app.ask("POST", "/audit", MSGPACK, b" " * (AUDIT_BYTES_MAX + 1))
    put = await app.ask("PUT", "/suites/kline", WITH_TOKEN, b" " * (256 * 1024 + 1))
    other = await app.ask("PUT", "/else", WITH_TOKEN, b" " * (64 * 1024 + 1))

    assert [reply.status for reply in (validate, audit, put, other)] == [413] * 4


async def test_another_encoding_is_415(app: App) -> None:
    text = await app.ask("POST", "/validate", {"content-type": "text/plain"}, b"{}")
    json_audit = await app.ask("POST", "/audit", JSON, b"{}")

    assert (text.status, json_audit.status) == (415, 415)


async def test_an_unknown_engine_is_422(app: App) -> None:
    assert (await app.validate({"kind": "kline", "records": []}, "engine=other")).status == 422


async def test_gx_without_its_worker_is_503_with_retry_after(app: App) -> None:
    reply = await app.validate({"kind": "kline", "records": [GOOD]}, "engine=gx")

    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"


async def test_a_page_of_another_site_cannot_post(app: App) -> None:
    headers = {**JSON, "origin": "http://evil.example"}

    assert (await app.ask("POST", "/validate", headers, b"{}")).status == 403


async def test_suites_are_listed_and_given_whole(app: App) -> None:
    listed = msgspec.convert((await app.get("/suites")).json["suites"], dict[str, dict[str, object]])

    assert set(listed) == set(KINDS)
    for kind, entry in listed.items():
        reply = await app.get(str(entry["url"]))
        again = await app.get(str(entry["url"]), if_none_match=reply.headers["etag"])
        assert entry["url"] == f"/suites/{kind}"
        assert reply.headers["etag"] == f'"{entry["digest"]}"'
        assert again.status == 304
        assert again.body == b""
        rules = msgspec.convert(reply.json["expectations"], list[dict[str, object]])
        assert len(rules) == entry["rules"]
        assert {str(msgspec.convert(each["meta"], dict[str, object])["source"]) for each in rules} == {"shipped"}


async def test_an_unknown_kind_is_422(app: App) -> None:
    assert (await app.get("/suites/candle")).status == 422
    assert (await app.put("candle", CAP)).status == 422


async def test_put_is_in_force_at_once_and_kept_as_a_file(app: App) -> None:
    reply = await app.put("kline", CAP)

    shipped = sum(not each.disabled for each in shipped_suite("kline").rules)
    assert reply.status == 200
    assert reply.json["kept"] == ["price_cap"]
    assert reply.json["shipped"] == shipped
    assert reply.json["rules"] == shipped + 1
    assert "not up" in str(reply.json["note"])
    assert "price_cap" in str((await app.validate({"kind": "kline", "records": [GOOD]})).json["results"])
    assert (await app.get("/suites/kline")).headers["etag"] == f'"{reply.json["digest"]}"'
    kept = json.loads((app.folder / "suites" / "kline.json").read_text())
    assert [each["meta"]["rule_id"] for each in kept["expectations"]] == ["price_cap"]


async def test_what_get_gives_can_be_put_and_changes_nothing(app: App) -> None:
    before = await app.get("/suites/kline")

    reply = await app.put("kline", before.json)

    assert reply.json["kept"] == []
    assert f'"{reply.json["digest"]}"' == before.headers["etag"]


async def test_disabled_switches_a_shipped_rule_off(app: App) -> None:
    swing = next(each for each in shipped_suite("kline").rules if each.id == "price_swing").document()

    reply = await app.put("kline", suite({**swing, "meta": {"rule_id": "price_swing", "disabled": True}}))

    assert reply.json["kept"] == ["price_swing"]
    answer = await app.validate({"kind": "kline", "records": [{**GOOD, "high": 4_510_010.0}]})
    assert "price_swing" not in str(answer.json["results"])


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (suite(rule(type="expect_column_values_to_be_betwen")), "did you mean expect_column_values_to_be_between"),
        (suite(rule(kwargs={"column": "clse", "max_value": 1})), "did you mean close"),
        (suite(rule(severity="fatal")), "severity"),
        (suite(rule(), rule()), "same id"),
        ({"name": "kline"}, "expectations"),
        ([], "JSON object"),
    ],
)
async def test_a_wrong_suite_is_422_with_its_faults_and_the_old_one_stays(
    app: App, document: object, told: str
) -> None:
    before = await app.get("/suites/kline")

    reply = await app.put("kline", document)

    assert reply.status == 422
    assert told in reply.detail
    assert (await app.get("/suites/kline")).headers["etag"] == before.headers["etag"]
    assert not (app.folder / "suites" / "kline.json").exists()


async def test_a_rule_that_guards_the_store_cannot_be_changed(app: App) -> None:
    locked = next(each for each in shipped_suite("kline").rules if each.locked)

    reply = await app.put("kline", suite(rule(locked.id)))

    assert reply.status == 422
    assert "guards the store" in reply.detail


async def test_if_match_with_a_stale_digest_is_412(app: App) -> None:
    digest = (await app.get("/suites/kline")).headers["etag"]

    first = await app.put("kline", CAP, if_match=digest)
    second = await app.put("kline", suite(), if_match=digest)
    third = await app.put("kline", suite(), if_match="*")

    assert [first.status, second.status, third.status] == [200, 412, 200]


async def test_two_puts_take_turns(app: App) -> None:
    digest = (await app.get("/suites/kline")).headers["etag"]

    replies = await asyncio.gather(*(app.put("kline", suite(rule(f"cap_{n}")), if_match=digest) for n in range(3)))

    assert sorted(reply.status for reply in replies) == [200, 412, 412]


async def test_put_needs_the_token(app: App) -> None:
    body = json.dumps(CAP).encode()

    without = await app.ask("PUT", "/suites/kline", JSON, body)
    wrong = await app.ask("PUT", "/suites/kline", {**JSON, "authorization": "Bearer other"}, body)

    assert (without.status, wrong.status) == (403, 403)


async def test_without_a_token_put_is_closed_and_says_what_else_can_be_done(tmp_path: Path) -> None:
    async with serving(tmp_path, AbsentWorker, token=None) as app:
        reply = await app.put("kline", CAP)

    assert reply.status == 403
    assert "SUITES_DIR" in reply.detail


async def test_health_has_the_documented_keys(app: App) -> None:
    reply = await app.get("/health")

    assert list(reply.json) == ["status", "service", "environment", "version", "worker", "suites", "reasons"]
    assert reply.json["service"] == "data-validation"
    assert reply.json["environment"] == "development"
    assert msgspec.convert(reply.json["suites"], dict[str, dict[str, object]])["kline"].keys() == {"digest", "rules"}


async def test_a_wrong_file_at_start_is_told_and_the_last_known_suite_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path, AbsentWorker) as app:
        in_force = (await app.put("kline", CAP)).json["digest"]
    (tmp_path / "suites" / "kline.json").write_text("{")
    (tmp_path / "suites" / "klines.json").write_text("{}")

    async with serving(tmp_path, AbsentWorker) as app:
        health = await app.get("/health")
        listed = await app.get("/suites")

    assert health.json["status"] == "degraded"
    assert "kline.json is refused" in str(health.json["reasons"])
    assert set(msgspec.convert(listed.json["faults"], dict[str, str])) == {"kline.json", "klines.json"}
    assert msgspec.convert(listed.json["suites"], dict[str, dict[str, object]])["kline"]["digest"] == in_force


def test_history_keeps_a_bounded_number_over_restarts(tmp_path: Path) -> None:
    past = PastSuites(tmp_path)
    past.load()
    suites = [
        msgspec.structs.replace(shipped_suite("kline"), rules=shipped_suite("kline").rules[:n]) for n in range(59)
    ]
    for each in suites:
        past.keep(each)

    again = PastSuites(tmp_path)
    again.load()

    assert len(list(tmp_path.iterdir())) == SUITES_KEPT
    assert again.document(suites[0].digest) is None
    assert again.document(suites[-1].digest) == past.document(suites[-1].digest)
    assert again.newest("kline") == past.newest("kline")
    assert again.newest("trade") is None


async def test_the_data_docs_say_when_they_come(app: App) -> None:
    page = await app.get("/docs-site/")
    redirect = await app.get("/docs-site")
    other = await app.get("/docs-site/validations/x.html")

    assert page.status == 200
    assert "The next build comes in" in page.body.decode()
    assert "script-src 'none'" in page.headers["content-security-policy"]
    assert redirect.status == 307
    assert redirect.headers["location"] == "/docs-site/"
    assert other.status == 404


async def test_the_root_names_what_there_is(app: App) -> None:
    assert (await app.get("/")).json["service"] == "data-validation"
    assert (await app.ask("HEAD", "/health")).status == 200
    assert (await app.get("/nothing")).status == 404
