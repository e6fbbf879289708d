"""What the validation service is told at its start."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from data_collector import __version__

DOCS_EVERY_S = 300.0


class Options(Struct, frozen=True, kw_only=True):
    """Plain values: the command line reads the settings."""

    folder: Path
    """The service's own: suites of the past, Data Docs."""
    suites_dir: Path
    """The user's rules; the service writes there what is PUT."""
    environment: str = "development"
    """Shown in `/health`."""
    token: str | None = None
    """Bearer token of the routes that write."""
    allowed_hosts: tuple[str, ...] | None = None
    """Host headers that are accepted there."""
    docs_every_s: float = DOCS_EVERY_S
    """Seconds between two builds of the Data Docs."""
    version: str = __version__
