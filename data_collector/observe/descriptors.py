"""How many files and sockets this process may still open."""

from __future__ import annotations

import resource
from pathlib import Path

_OPEN = next((path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.is_dir()), None)


def free_descriptors() -> int | None:
    """None where there is no limit, or the system does not tell."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _OPEN is None or limit == resource.RLIM_INFINITY:
        return None
    # The listing needs one itself, which is closed again.
    return max(0, limit - sum(1 for _ in _OPEN.iterdir()) + 1)
