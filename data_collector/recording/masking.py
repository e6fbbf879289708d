"""Takes out of what is kept what nobody else is to see: keys, and addresses that an exchange names in its refusals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

MASK = b"***"

_ADDRESS = re.compile(
    rb"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\w)|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?![\w:]))"
)
_LOGIN = re.compile(rb"(?<=://)[^/@\s\"]+@")


class Mask:
    """Knows the secrets of a collector."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secret.encode() for secret in sorted(secrets, key=len, reverse=True) if secret)

    def secrets(self, content: bytes) -> bytes:
        """Without keys and passwords."""
        for secret in self._secrets:
            if secret in content:
                content = content.replace(secret, MASK)
        return content

    def all(self, content: bytes) -> bytes:
        """Without addresses of machines and logins in URLs either; for what is no market data."""
        return _ADDRESS.sub(_without_address, _LOGIN.sub(MASK + b"@", self.secrets(content)))


def _without_address(found: re.Match[bytes]) -> bytes:
    # Times of day and versions look alike.
    text = found[0].rstrip(b".")
    try:
        ip_address(text.decode())
    except ValueError:
        return found[0]
    return MASK + found[0][len(text) :]
