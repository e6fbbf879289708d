"""The Data Docs in a real browser that reaches no other host: they look like something, and ask nobody."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from data_collector.embedded.peer import free_port
from data_collector.validation.auditing.messages import AuditUpload, Chunk, encode
from data_collector.validation.rules.suite import shipped_suite
from tests.docs.tree import ROOT
from tests.integration.processes import end
from tests.integration.waiting import until
from tests.market import trade

pytestmark = pytest.mark.slow

DEADLINE_S = 90.0

ERRANDS = re.compile(
    r".*\.(google|gvt1)\.com|(update|optimizationguide-pa|safebrowsing|content-autofill)\.googleapis\.com"
)
"""Hosts that Chromium asks by itself, whatever page is open. It reaches none of them here."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that has audited one batch with a bad trade in it, and built its pages."""
    folder = tmp_path_factory.mktemp("service")
    url = f"http://127.0.0.1:{(port := free_port())}"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
    process = subprocess.Popen(
        [
            sys.executable, "-m", "data_collector", "validation-service", "--port", str(port), "--docs-every-s", "1",
        ],
        cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), "VAR_DIR": "var"},
    )  # fmt: skip
    try:
        until(lambda: audited(url), "an audit", deadline_s=DEADLINE_S)
        until(lambda: b"validations/" in get(f"{url}/docs-site/"), "the pages", deadline_s=DEADLINE_S)
        yield url
    finally:
        end(process)


def audited(url: str) -> bool:
    digest = shipped_suite("trade").digest
    chunk = Chunk("trade", digest, trades=[trade(1), trade(2, price="0")], broken={1: ["price_positive"]}, refused=[1])
    body = encode(AuditUpload("browser", [msgspec.Raw(encode(chunk))]))
    request = urllib.request.Request(f"{url}/audit", body, {"Content-Type": "application/msgpack"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
        body: bytes = answer.read()
    return body


def opened(chromium: str, folder: Path, url: str) -> tuple[str, set[str], Path]:
    """What the page holds once it is shown, the hosts that it asked, and a picture of it."""
    log, picture = folder / "net.json", folder / "page.png"
    shared = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--no-first-run", f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1300,1600",
    ]  # fmt: skip
    shown = subprocess.run(
        [*shared, f"--log-net-log={log}", "--net-log-capture-mode=Everything", "--dump-dom", url],
        capture_output=True, text=True, timeout=DEADLINE_S, check=True,
    ).stdout  # fmt: skip
    subprocess.run(
        [*shared, f"--screenshot={picture}", url], capture_output=True, timeout=DEADLINE_S, check=True
    )  # fmt: skip
    asked = {
        re.sub(r"^https?://([^/]+).*", r"\1", address)
        for event in json.loads(log.read_text())["events"]
        for address in [str(event.get("params", {}).get("url", ""))]
        if address.startswith("http") and "initiator" in event.get("params", {})
    }
    return shown, {host for host in asked if not ERRANDS.fullmatch(host)}, picture


def test_index_and_result_are_shown_and_ask_no_other_host(chromium: str, site: str, tmp_path: Path) -> None:
    host = site.removeprefix("http://")
    for folder in ("index", "result"):
        (tmp_path / folder).mkdir()

    index, asked, picture = opened(chromium, tmp_path / "index", f"{site}/docs-site/")

    assert asked <= {host}
    assert "Data Docs" in index
    assert picture.stat().st_size > 10_000
    link = re.search(r'href="(validations/[^"]+)"', index)
    assert link is not None

    result, asked, picture = opened(chromium, tmp_path / "result", f"{site}/docs-site/{link.group(1)}")

    assert asked <= {host}
    assert "The price must be above zero." in result
    assert "Failed" in result
    assert "<script" not in result
    assert picture.stat().st_size > 20_000
