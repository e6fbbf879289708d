"""The two HTML pages and the files they are made of; everything comes from this package, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER = Path(__file__).parent
_PAGES = _FOLDER / "pages"
_VENDORED = _FOLDER / "vendored"

# Vendored files change with their version only. The modules of a page must be of one version: a browser keeps them,
# but asks each time whether they are still the same.
_KEEP_AN_HOUR = {"Cache-Control": "public, max-age=3600"}
_KEEP_WHILE_SAME = {"Cache-Control": "public, max-age=0, must-revalidate"}

router = APIRouter(include_in_schema=False)


class KeptFiles(StaticFiles):
    """Files that a browser may keep; `headers` say for how long."""

    def __init__(self, directory: Path, headers: Mapping[str, str]) -> None:
        super().__init__(directory=directory)
        self._headers = headers

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Starlette calls this. Raises `HTTPException` for a file that is not there."""
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response


ASSETS = (
    Mount("/assets", KeptFiles(_PAGES / "assets", _KEEP_WHILE_SAME), name="assets"),
    Mount("/vendored", KeptFiles(_VENDORED, _KEEP_AN_HOUR), name="vendored"),
)
"""Added to the application beside the router, which takes functions only."""


@router.get("/")
async def index() -> FileResponse:
    """The dashboard: whether the feed is live, complete and valid (docs/dashboard.md)."""
    return FileResponse(_PAGES / "index.html")


@router.get("/docs")
async def docs() -> FileResponse:
    """The OpenAPI page, which works without a network."""
    return FileResponse(_PAGES / "docs.html")
