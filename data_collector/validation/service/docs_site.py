"""The Data Docs under `/docs-site/`: built by the worker from time to time, served as files, without scripts."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import HTTPException
from fastapi.responses import HTMLResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from data_collector.model.errors import Transient
from data_collector.observe.counters import Counters
from data_collector.observe.logs import get_log
from data_collector.validation.auditing.messages import BuildDocs, DocsReport, WorkerFault
from data_collector.validation.service.line import WorkerLine

RESULTS_SHOWN: Final = 50
SITES_KEPT: Final = 2
"""The one that is served, and the one before it, of which a browser may still be loading parts."""

CURRENT: Final = "current"

SITE_HEADERS: Final = {
    # Pages are made of what exchanges and users wrote: nothing in them may run or call anybody.
    "Content-Security-Policy": "default-src 'self'; script-src 'none'; connect-src 'none'; object-src 'none';"
    " img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
}

_NOT_YET = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>
<style>body {{ font: 16px/1.5 sans-serif; margin: 3em auto; max-width: 40em; padding: 0 1em }}</style></head>
<body><h1>No Data Docs yet</h1>
<p>They are built by Great Expectations from the audits of collectors, every {every} seconds if there was one.
{next}</p></body></html>
"""

_log = get_log()


class DocsSite:
    """Builds into fresh folders; the link `current` is moved when one is whole."""

    def __init__(
        self, folder: Path, line: WorkerLine, counters: Counters, *, every_s: float, audits: Callable[[], int]
    ) -> None:
        self._folder = folder
        self._line = line
        self._counters = counters
        self._every_s = every_s
        self._audits = audits
        self._audits_shown = 0
        self._next_at = time.monotonic() + every_s

    @property
    def current(self) -> Path:
        """What is served; it may not be there yet."""
        return self._folder / CURRENT

    def not_yet(self) -> str:
        """The page in the place of Data Docs that were never built."""
        left_s = max(0, round(self._next_at - time.monotonic()))
        return _NOT_YET.format(every=f"{self._every_s:g}", next=f"The next build comes in {left_s} seconds.")

    async def run(self) -> None:
        """Build from time to time, when there is something new, until cancelled."""
        await asyncio.to_thread(self._folder.mkdir, 0o700, parents=True, exist_ok=True)
        while True:
            self._next_at = time.monotonic() + self._every_s
            await asyncio.sleep(self._every_s)
            audits = self._audits()
            if audits != self._audits_shown and await self._build():
                self._audits_shown = audits

    async def _build(self) -> bool:
        site = self._folder / f"site-{time.time_ns()}"
        try:
            if await self._results(site):
                await asyncio.to_thread(self._show, site)
        except (Transient, OSError) as error:
            _log.error("data_docs_not_built", reason=str(error))
            await asyncio.to_thread(shutil.rmtree, site, ignore_errors=True)
            self._counters.add("data_validation_docs_builds_total", outcome="failed")
            return False
        self._counters.add("data_validation_docs_builds_total", outcome="built")
        return True

    async def _results(self, site: Path) -> int:
        """How many results the worker has put into a new site. Raises `Transient`."""
        report = await self._line.ask_for_us(BuildDocs(str(site), RESULTS_SHOWN))
        if isinstance(report, DocsReport):
            return report.results
        raise Transient(report.message if isinstance(report, WorkerFault) else "The worker answered something else.")

    def _show(self, site: Path) -> None:
        link = self._folder / f".{CURRENT}.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(site.name, target_is_directory=True)
        link.rename(self.current)
        for old in sorted(self._folder.glob("site-*"))[:-SITES_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


class SiteFiles(StaticFiles):
    """The files of the site; a page that says when there will be one, before there is."""

    def __init__(self, site: DocsSite) -> None:
        super().__init__(directory=site.current, html=True, check_dir=False)
        # The folder may come later: that is no mistake in the configuration.
        self.config_checked = True
        self._site = site

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Starlette calls this. Raises `HTTPException` for a file that is not there."""
        built = await asyncio.to_thread(self._site.current.is_dir)
        if not built and path not in {".", "index.html"}:
            raise HTTPException(404, "There are no Data Docs yet.")
        response = await super().get_response(path, scope) if built else HTMLResponse(self._site.not_yet())
        response.headers.update(SITE_HEADERS)
        return response
