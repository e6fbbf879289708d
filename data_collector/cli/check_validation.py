"""What `doctor` checks of validation: the built-in rules load, and a service beside them answers."""

from __future__ import annotations

import asyncio

import aiohttp

from data_collector.cli.finding import Finding
from data_collector.observe.logs import escaped
from data_collector.settings import Settings
from data_collector.validation.gate import RULES

ANSWER_TIMEOUT_S = 5.0


async def check_validation(settings: Settings) -> list[Finding]:
    """A service that does not answer is no failure: the built-in rules gate every record then."""
    rules = Finding("validation", "ok", f"{len(RULES)} built-in rules load")
    url = settings.validation_service_url
    if url is None:
        return [rules]
    seen = await _health_of(url, use_proxy=settings.use_proxy)
    if seen is None:
        return [rules, Finding("validation service", "ok", f"{url} answers")]
    cure = "Records are gated by the built-in rules until it answers. Start it, or correct VALIDATION_SERVICE_URL."
    return [rules, Finding("validation service", "warn", f"{url} {seen}", cure)]


async def _health_of(url: str, *, use_proxy: bool) -> str | None:
    """What is wrong with the service; None when it is well."""
    try:
        async with (
            asyncio.timeout(ANSWER_TIMEOUT_S),
            aiohttp.ClientSession(trust_env=use_proxy) as session,
            session.get(f"{url}/health", allow_redirects=False) as response,
        ):
            return None if response.status == 200 else f"answers HTTP {response.status}"
    except TimeoutError:
        return f"does not answer in {ANSWER_TIMEOUT_S:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"cannot be reached ({escaped(str(error))})"
