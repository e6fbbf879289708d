"""HTTP requests of ours to others."""

from __future__ import annotations

import aiohttp

from data_collector.proxies import proxy_of

UNREACHED = (aiohttp.ClientError, OSError, UnicodeError)
"""What a request raises that did not get through. `TimeoutError` is an `OSError`: catch it before, it has no words."""


def open_session(url: str, *, use_proxy: bool, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
    """For requests to the host of `url`; `use_proxy` obeys HTTPS_PROXY and friends. The caller closes it."""
    proxy = proxy_of(url) if use_proxy else None
    return aiohttp.ClientSession(proxy=proxy, timeout=timeout or aiohttp.ClientTimeout())


def reason_of(error: Exception) -> str:
    """Why a request did not get through. What the library says of a proxy's answers shows the login."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses with HTTP {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"what answers does not speak HTTP: {error.message}"
    return str(error)
