"""The pages work without a network and under a strict content security policy."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

import msgspec
import pytest

from data_collector.api import create_app
from data_collector.api.answers import ControlRequest, Health, Metrics, RefusedPage, Status
from data_collector.api.completeness.gap_answers import CompletenessPage
from data_collector.api.latest import LatestPage
from data_collector.api.series.formats import KlinePage
from data_collector.api.spread import SpreadPage
from data_collector.model.status import Snapshot
from data_collector.settings import load_settings
from data_collector.web.answers import Answer
from tests.contract.http_service import ROOT, HttpService, running
from tests.contract.http_service import Answer as HttpAnswer

ASSETS = ROOT / "data_collector" / "api" / "pages" / "assets"

ENDPOINTS = {
    "/health", "/health/live", "/health/ready", "/metrics", "/metrics/prometheus", "/status", "/validation",
    "/validation/errors", "/gaps", "/gaps/{gap_id}", "/completeness", "/klines/{symbol}", "/trades/{symbol}", "/latest",
    "/latest/{symbol}", "/similar", "/spread", "/control", "/subscriptions", "/live",
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpService]:
    with running(tmp_path_factory.mktemp("http"), Snapshot(condition="healthy", collector_running=True)) as service:
        yield service


def files_of(page: HttpAnswer) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.text)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_and_its_files_come_from_here(service: HttpService, path: str) -> None:
    page = service.get(path)
    files = files_of(page)

    assert page.headers["Content-Type"].startswith("text/html")
    assert len(files) >= 2
    for file in files:
        answer = service.get(file)
        assert answer.status == 200
        assert re.match("text/(javascript|css)|application/javascript", answer.headers["Content-Type"])
        assert "max-age" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_has_no_script_or_style_of_its_own_and_names_no_other_host(service: HttpService, path: str) -> None:
    page = service.get(path)
    ours = [file.read_text() for file in ASSETS.iterdir()]

    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", page.text) == []
    # A link is not followed by itself; this one the chart's licence asks for.
    shown = page.text.replace('href="https://www.tradingview.com/"', "")
    assert [text for text in [shown, *ours] if re.search(r"https?:|//[a-z]+\.", text)] == []
    assert [
        text for text in ours if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval", text)
    ] == []


def test_styles_fetch_nothing_from_elsewhere(service: HttpService) -> None:
    style = service.get("/vendored/swagger-ui/swagger-ui.css").text

    assert [url for url in re.findall(r"url\([\"']?([^\"')]{1,40})", style) if not url.startswith("data:")] == []
    assert "@import" not in style


@pytest.mark.parametrize("name", ["swagger-ui", "lightweight-charts"])
def test_vendored_files_come_with_version_and_licence(name: str) -> None:
    folder = ROOT / "data_collector" / "api" / "vendored" / name

    assert re.search(r"Version \d+\.\d+\.\d+", (folder / "README.md").read_text())
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "Copyright" in (folder / "NOTICE").read_text()


def test_vendored_chart_is_the_one_that_its_readme_names() -> None:
    folder = ROOT / "data_collector" / "api" / "vendored" / "lightweight-charts"
    digest = hashlib.sha256((folder / "lightweight-charts.standalone.production.js").read_bytes()).hexdigest()

    assert digest in (folder / "README.md").read_text()


def test_modules_of_a_page_are_small_and_import_what_is_there() -> None:
    modules = {path: path.read_text() for path in ASSETS.glob("*.js")}
    imported = {name for text in modules.values() for name in re.findall(r'from "/assets/([^"]+)"', text)}

    assert {path.name: n for path, text in modules.items() if (n := len(text.splitlines())) > 300} == {}
    assert imported - {path.name for path in modules} == set()


def test_every_endpoint_is_described_with_its_answer() -> None:
    paths = create_app(load_settings({}, env_file=None)).openapi()["paths"]

    assert set(paths) == ENDPOINTS
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["description"], path
            assert operation["responses"]["200"]["content"], path
            assert "429" in operation["responses"], path


def test_open_api_describes_errors_as_they_are() -> None:
    schema = create_app(load_settings({}, env_file=None)).openapi()

    assert "HTTPValidationError" not in json.dumps(schema)
    assert schema["components"]["schemas"]["Problem"]["required"] == ["detail"]


def test_open_api_describes_every_answer_and_its_fields() -> None:
    schema = create_app(load_settings({}, env_file=None)).openapi()
    schemas = schema["components"]["schemas"]

    assert set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schema))) == set(schemas)
    assert schemas["GapAnswer"]["description"] == "A range that is or was missing."
    assert schemas["GapAnswer"]["properties"]["missing"]["description"] == "Still waited for."
    assert schemas["HistoryAnswer"]["required"][-1] == "restarts"
    assert schemas["KlinePage"]["properties"]["stores"]["description"] == "Which were read: `postgresql`, `redis`."


@pytest.mark.parametrize(
    "model", [Health, Metrics, Status, RefusedPage, CompletenessPage, KlinePage, LatestPage, SpreadPage]
)
def test_examples_are_what_the_schema_says(model: type[Answer]) -> None:
    schema = create_app(load_settings({}, env_file=None)).openapi()["components"]["schemas"][model.__name__]

    assert schema["examples"]
    for example in schema["examples"]:
        read = msgspec.json.decode(msgspec.json.encode(example), type=model)
        assert msgspec.json.decode(msgspec.json.encode(read)) == example


def test_example_of_a_body_is_what_the_schema_says() -> None:
    examples = ControlRequest.model_json_schema()["examples"]

    assert examples
    for example in examples:
        assert ControlRequest.model_validate(example).model_dump(mode="json", exclude_unset=True) == example
