"""Telling a Prometheus scraper from everybody else by its Accept header."""

from __future__ import annotations


def wants_prometheus(accept: str) -> bool:
    """True for `application/openmetrics-text`, for `text/plain` with a `version`, and for exactly `text/plain`.

    curl, browsers and HTTP libraries get JSON, also the ones that list `text/plain` among other things.
    """
    wanted = accept.lower()
    if wanted.strip() == "text/plain":
        return True
    return any(_is_scrape(media_range) for media_range in wanted.split(","))


def _is_scrape(media_range: str) -> bool:
    media_type, *parameters = (part.strip() for part in media_range.split(";"))
    if media_type == "text/plain":
        return any(parameter.partition("=")[0].strip() == "version" for parameter in parameters)
    return media_type == "application/openmetrics-text"
