"""Which proxy a URL is reached through: one rule for streams, REST, published files and the validation service.

The environment tells: HTTPS_PROXY for https and wss, HTTP_PROXY for http and ws, else ALL_PROXY; hosts in NO_PROXY are
reached directly.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from data_collector.model.errors import Misconfigured

_USABLE = ("http", "https")
"""What streams and requests can both go through. SOCKS would carry the streams alone."""


def proxy_of(url: str) -> str | None:
    """The proxy of a URL, with its login; None for one that is reached directly.

    Raises `Misconfigured` for a proxy that cannot be used for everything.
    """
    parts = urlsplit(url)
    name = "https" if parts.scheme in ("https", "wss") else "http"
    proxies = getproxies()
    name = name if proxies.get(name) else "all"
    proxy = proxies.get(name)
    if not proxy or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    variable = f"{name.upper()}_PROXY"
    place = place_of(proxy)
    if place is None:
        raise Misconfigured(f"{variable}: the proxy's host and port cannot be read; write http://HOST:PORT")
    if place.partition("://")[0] not in _USABLE:
        raise Misconfigured(
            f"{variable} names {place}, which streams could go through and requests could not; name a proxy that "
            f"begins with http:// or https://, let NO_PROXY name {parts.hostname}, or set USE_PROXY=0"
        )
    return proxy


def place_of(proxy: str) -> str | None:
    """Scheme, host and port of a proxy, without its login; None when they cannot be read."""
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or port == 0:
        return None
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}" + (f":{port}" if port else "")
