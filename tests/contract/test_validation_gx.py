"""The Data Validation Service with real Great Expectations behind it: engine=gx, audits, suites, Data Docs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.auditing.messages import AuditReport, AuditUpload, Chunk, answer_decoder, encode
from data_collector.validation.rules.columns import Kind
from tests.contract.validation_app import BAD, GOOD, App, rule, serving, suite, until_up
from tests.integration.processes import is_running
from tests.integration.waiting import until_async
from tests.market import NOON_MS, kline, sparse_ticker, ticker, trade

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = "<script>alert(1)</script><img src=http://evil.example/x>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """One service with one worker for all tests of this file; starting it takes seconds."""
    async with serving(tmp_path_factory.mktemp("gx"), AuditWorker, docs_every_s=1.0) as app:
        await until_up(app)
        yield app


async def digest_of(app: App, kind: Kind) -> str:
    return (await app.get(f"/suites/{kind}")).headers["etag"].strip('"')


async def audit(app: App, *chunks: Chunk, source: str = "tests") -> AuditReport:
    body = encode(AuditUpload(source, [msgspec.Raw(encode(chunk)) for chunk in chunks]))
    reply = await app.audit(body)
    assert reply.status == 200, reply.body
    report = answer_decoder.decode(reply.body)
    assert isinstance(report, AuditReport)
    return report


async def test_both_engines_say_the_same(app: App) -> None:
    kinds = [GOOD, BAD, {}, {**GOOD, "interval": "7m"}, {**GOOD, "volume": -1.0}, {**GOOD, "trades": 0}]
    # Great Expectations also looks at all of them together: no update comes twice.
    records = [{**kind, "timestamp": f"2024-01-01T12:0{minute}:00+00:00"} for minute, kind in enumerate(kinds)]

    compiled = await app.validate({"kind": "kline", "records": records})
    by_gx = await app.validate({"kind": "kline", "records": records}, "engine=gx")

    assert by_gx.status == 200
    assert by_gx.json["engine"] == "gx"
    assert [[each["rule"] for each in failed] for failed in failures(by_gx.json["results"])] == [
        [each["rule"] for each in failed] for failed in failures(compiled.json["results"])
    ]


def failures(results: object) -> list[list[dict[str, str]]]:
    found = msgspec.convert(results, list[dict[str, object]])
    return [
        sorted(msgspec.convert(each["failed"], list[dict[str, str]]), key=lambda one: one["rule"]) for each in found
    ]


async def test_an_audit_counts_and_agrees_with_the_gate(app: App) -> None:
    chunks = [
        Chunk("kline", await digest_of(app, "kline"), klines=[kline(minute) for minute in range(5)]),
        Chunk(
            "trade", await digest_of(app, "trade"), trades=[trade(1), trade(2, price="0")],
            broken={1: ["price_positive"]}, refused=[1],
        ),
    ]  # fmt: skip

    report = await audit(app, *chunks)

    assert report.rows == {"kline": 5, "trade": 2}
    assert report.accepted == {"kline": 5, "trade": 1}
    assert report.broken["trade"]["price_positive"] == 1
    assert report.disagreements == []
    assert report.failures == []


async def test_what_an_exchange_does_not_tell_breaks_no_rule(app: App) -> None:
    unknown = dict.fromkeys(("quote_volume", "taker_buy_base_volume", "taker_buy_quote_volume", "trades"))
    alone = [sparse_ticker(NOON_MS + second * 1000) for second in range(3)]
    among_others = [ticker(NOON_MS + 9000), sparse_ticker(NOON_MS + 9500)]
    report = await audit(
        app,
        Chunk("ticker", await digest_of(app, "ticker"), tickers=alone),
        Chunk("ticker", await digest_of(app, "ticker"), tickers=among_others),
        Chunk("kline", await digest_of(app, "kline"), klines=[kline(minute, **unknown) for minute in range(90, 93)]),
        source="sparse",
    )

    assert (any(report.broken.values()), report.disagreements, report.failures) == (False, [], [])


async def test_a_gate_that_was_wrong_is_found_out(app: App) -> None:
    wrong = Chunk("trade", await digest_of(app, "trade"), trades=[trade(5, price="0")])

    report = await audit(app, wrong, source="wrong gate")
    health = await app.get("/health")
    await app.put("trade", suite(kind="trade"))
    await app.put("trade", suite(rule("price_cap", kwargs={"column": "price", "max_value": 1e9}), kind="trade"))

    assert [(each.rule, each.gx_only) for each in report.disagreements] == [("price_positive", 1)]
    assert health.json["status"] == "degraded"
    assert (await app.get("/health")).json["status"] == "healthy"


async def test_a_user_rule_is_checked_by_gx_and_judges_in_both_engines(app: App) -> None:
    reply = await app.put("kline", suite(rule()))

    assert reply.status == 200
    assert reply.json["note"] is None
    by_gx = await app.validate({"kind": "kline", "records": [GOOD]}, "engine=gx")
    assert "price_cap" in str(by_gx.json["results"])


async def test_built_data_docs_ask_nobody_and_run_nothing(app: App) -> None:
    await app.put("ticker", suite(rule("marked", description=MARKUP, kwargs={"column": "count"},
                                       type="expect_column_values_to_not_be_null"), kind="ticker"))  # fmt: skip
    await audit(
        app,
        Chunk("kline", await digest_of(app, "kline"), klines=[kline(interval="7m", symbol=MARKUP)], refused=[0],
              broken={0: ["interval_known"]}),
        source=f"../../{MARKUP}",
    )  # fmt: skip
    site = app.folder / "state" / "docs" / "current"
    await until_async(lambda: site.is_dir() and list(site.rglob("*evil.example*")), "Data Docs", deadline_s=60)

    pages = [path.relative_to(site) for path in site.rglob("*.html")]

    assert {path.parts[0] for path in pages} == {"index.html", "expectations", "validations"}
    for path in pages:
        reply = await app.get(f"/docs-site/{path}")
        assert reply.status == 200
        assert "script-src 'none'" in reply.headers["content-security-policy"]
        found = addresses_of(reply.body.decode())
        assert found.tags & {"script", "iframe", "form", "img"} == set(), path
        assert [each for each in found.addresses if leads_outside(each)] == [], path
        for each in found.addresses:
            target = (site / path.parent / each.partition("#")[0]).resolve()
            assert target.exists() or each.startswith("#"), (path, each)
    index = (await app.get("/docs-site/")).body.decode()
    assert "validations/kline/" in index
    assert (await app.get("/docs-site/assets/bootstrap.min.css")).status == 200


class Addresses(HTMLParser):
    """Everything that a browser would fetch or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]


def addresses_of(page: str) -> Addresses:
    found = Addresses()
    found.feed(page)
    assert not re.search(r"url\(\s*['\"]?(https?:)?//", page)
    return found


def leads_outside(address: str) -> bool:
    return bool(re.match(r"\s*([a-zA-Z][\w+.-]*:|//)", address))


async def test_the_worker_ends_with_the_service(tmp_path: Path) -> None:
    async with serving(tmp_path, AuditWorker) as app:
        await until_up(app)
        pid = app.around.worker.pid

    assert pid is not None
    assert not is_running(pid)
