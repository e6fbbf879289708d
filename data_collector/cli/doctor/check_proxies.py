"""What `doctor` tells about proxies: what goes through which one."""

from __future__ import annotations

from data_collector.cli.doctor.finding import Finding
from data_collector.proxies import place_of, proxy_of
from data_collector.settings import Settings
from data_collector.venues.discovery import find_venue

DIRECTLY = "directly"


def check_proxies(settings: Settings) -> Finding:
    """For `USE_PROXY=1`; a proxy that cannot be used was refused with the settings."""
    published = find_venue(settings.exchange).published
    urls = {
        "streams": settings.ws_url,
        "REST": settings.rest_url,
        "published files": None if published is None else published.url,
        "validation service": settings.validation_service_url,
    }
    ways: dict[str, list[str]] = {}
    for name, url in urls.items():
        if url is not None:
            proxy = proxy_of(url)
            ways.setdefault(DIRECTLY if proxy is None else f"through {place_of(proxy)}", []).append(name)
    seen = "; ".join(f"{', '.join(names)} {way}" for way, names in ways.items())
    if ways.keys() == {DIRECTLY}:
        cure = "Set HTTPS_PROXY or ALL_PROXY in the environment (not in .env), mend NO_PROXY, or set USE_PROXY=0."
        return Finding("proxy", "warn", seen, cure)
    return Finding("proxy", "ok", seen)
