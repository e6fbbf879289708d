"""The two HTML pages and the files they are made of; everything comes from this package, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER = Path(__file__).parent
_PAGES = _FOLDER / "pages"
_SWAGGER_UI = _FOLDER / "vendored" / "swagger-ui"

# Files change with the version only, and a browser asks anew after an hour.
_KEEP = {"Cache-Control": "public, max-age=3600"}

router = APIRouter(include_in_schema=False)


class KeptFiles(StaticFiles):
    """Files that a browser may keep."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Starlette calls this. Raises `HTTPException` for a file that is not there."""
        response = await super().get_response(path, scope)
        response.headers.update(_KEEP)
        return response


ASSETS = (
    Mount("/assets", KeptFiles(directory=_PAGES / "assets"), name="assets"),
    Mount("/vendored/swagger-ui", KeptFiles(directory=_SWAGGER_UI), name="swagger-ui"),
)
"""Added to the application beside the router, which takes functions only."""


@router.get("/")
async def index() -> FileResponse:
    """The endpoints and a few live numbers."""
    return FileResponse(_PAGES / "index.html")


@router.get("/docs")
async def docs() -> FileResponse:
    """The OpenAPI page, which works without a network."""
    return FileResponse(_PAGES / "docs.html")
