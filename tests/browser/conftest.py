"""A real Chromium for the pages, driven over its own protocol; nothing is downloaded but by apt."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import chromium_path
from tests.browser.scripted_service import Script, ScriptedService, scripted
from tests.browser.watched_page import Watched, opened

NO_BROWSER = "there is no Chromium on this machine, and only root can install one"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Installed by apt where we may."""
    found = chromium_path()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-q"], ["install", "-yq", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", *words], env=environment, capture_output=True, check=False)
        found = chromium_path()
    if found is None:
        pytest.skip(NO_BROWSER)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One process for a file's tests; each opens a context of its own.

    Not for the session: while it lives an event loop of Playwright's runs, and no test after it could run another.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    """With three symbols, and all well."""
    with scripted(Script()) as service:
        yield service


@pytest.fixture
def page(browser: Browser, service: ScriptedService) -> Iterator[Watched]:
    """Of `service`, on a desk, with a chart."""
    with opened(browser, service.url) as watched:
        # Only the connection that has a chart has trades.
        watched.expect_text("#tape", "Sell")
        yield watched
