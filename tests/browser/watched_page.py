"""A page that is watched: what it asked of whom, what its policy forbade, what went wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, FloatRect, Page, ViewportSize, expect

DESK = (1440, 900)
PHONE = (390, 844)

_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => {
  window.violations.push(`${e.effectiveDirective} ${e.blockedURI} ${e.sample}`);
});
"""

PATIENCE_MS = 15_000
"""For anything to appear at all; a slow machine only makes the tests slower."""


@dataclass
class Watched:
    """An open page and what was seen of it."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What stood in the console, and which requests failed."""

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def expect_text(self, selector: str, text: str | re.Pattern[str]) -> None:
        """Wait until the element contains it."""
        expect(self.page.locator(selector)).to_contain_text(text, timeout=PATIENCE_MS)

    def box(self, selector: str) -> FloatRect:
        """Where the element stands in the window."""
        found = self.page.locator(selector).bounding_box()
        assert found is not None, selector
        return found

    def faults_of_axe(self) -> list[str]:
        """What keeps people from using the page, as axe-core sees it."""
        found = find_spec("axe_playwright_python")
        if found is None or found.origin is None:
            pytest.skip("axe-playwright-python, which brings axe-core, is not installed")
        self.page.evaluate((Path(found.origin).parent / "axe.min.js").read_text())
        script = "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`))"
        violations: list[str] = self.page.evaluate(script)
        return violations

    def number(self, script: str) -> float:
        """What a script makes of the page."""
        found = self.page.evaluate(script)
        assert isinstance(found, int | float), found
        return found

    def faults(self, host: str) -> list[str]:
        """What must not happen on any page: errors, violations of the policy, questions to other hosts."""
        violations: list[str] = self.page.evaluate("window.violations")
        return [*self.errors, *violations, *sorted(self.hosts - {host})]


@contextmanager
def opened(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESK,
    scheme: Literal["light", "dark"] = "light",
    zone: str = "UTC",
) -> Iterator[Watched]:
    """The page, in a fresh profile; without a fault in the end."""
    viewport: ViewportSize = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, timezone_id=zone)
    page = context.new_page()
    watched = Watched(page)
    page.add_init_script(_VIOLATIONS)
    page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: watched.said.append(message.text))
    page.on("requestfailed", lambda request: watched.said.append(f"{request.url}: {request.failure}"))
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    try:
        page.goto(url)
        # Other programs that add or remove a network interface make Chromium drop what it is loading.
        while any("ERR_NETWORK_CHANGED" in said for said in watched.said):
            watched.said.clear()
            page.reload()
        yield watched
        assert watched.faults(urlsplit(url).netloc) == []
    except BaseException as error:
        shown = page.locator("body").inner_text()[:300]
        error.add_note(f"The page said: {watched.said}; its errors: {watched.errors}; it began: {shown!r}.")
        raise
    finally:
        context.close()
