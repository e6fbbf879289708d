"""The server's own log file: kept small, and quoted when the server fails."""

from __future__ import annotations

from pathlib import Path

LOG_BYTES_MAX = 4 * 1024 * 1024
"""A server writes a few lines per start and rewrite, so this is years."""

LINES_QUOTED = 5
QUOTED_BYTES_MAX = 16 * 1024


class ServerLog:
    """All methods block for a moment (files)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = 0

    def begin(self) -> None:
        """Call before a start: sets a full file aside, and marks where the new server's words begin."""
        if self._size() > LOG_BYTES_MAX:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._begin = self._size()

    def words(self) -> str:
        """What was written since `begin`, its end if it is long."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._begin, self._size() - QUOTED_BYTES_MAX))
                return file.read(QUOTED_BYTES_MAX).decode(errors="replace")
        except OSError:
            return ""

    def last_words(self) -> str:
        """The last lines for an error message."""
        lines = [line for line in self.words().splitlines() if line.strip()]
        quoted = "\n".join(f"  {line}" for line in lines[-LINES_QUOTED:]) or "  (nothing)"
        return f"Its last words, from {self.path}:\n{quoted}"

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0
