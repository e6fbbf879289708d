"""Where the machine's own Chromium is."""

from __future__ import annotations

import shutil


def chromium_path() -> str | None:
    """None when there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
