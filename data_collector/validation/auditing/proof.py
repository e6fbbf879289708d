"""How a collector shows a validation service that chunks are its own, without telling anybody the token."""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

HEADER: Final = "X-Audit-Proof"

_PURPOSE: Final = b"data-collector audit\n"
"""So that what is shown here opens nothing else."""


async def proof_of(body: bytes, token: str) -> str:
    """That who sends the body knows the token. In a thread, because a body may be large."""
    return (await asyncio.to_thread(hmac.digest, token.encode(), _PURPOSE + body, "sha256")).hex()


async def is_proven(body: bytes, token: str | None, given: str) -> bool:
    """Whether it is shown; without a token nobody can."""
    return token is not None and hmac.compare_digest(given.encode(), (await proof_of(body, token)).encode())
