"""What `doctor` checks of validation: the rules load, and a service beside them answers."""

from __future__ import annotations

import asyncio

import aiohttp

from data_collector.cli.finding import Finding
from data_collector.observe.escaping import escaped
from data_collector.settings import Settings
from data_collector.validation.shelf import Shelf

ANSWER_TIMEOUT_S = 5.0


async def check_validation(settings: Settings) -> list[Finding]:
    """A service that does not answer is no failure: the last known rules gate every record then."""
    shelved = await asyncio.to_thread(Shelf(settings.suites_dir).load)
    count = sum(len(suite.rules) for suite in shelved.suites.values())
    if shelved.faults:
        cure = "Until then the shipped rules of that kind gate every record. `data-collector suites check` tells more."
        rules = Finding("validation", "warn", " ".join(shelved.faults.values()), cure)
    else:
        rules = Finding("validation", "ok", f"{count} rules load")
    url = settings.validation_service_url
    if url is None:
        return [rules]
    seen = await _health_of(url, use_proxy=settings.use_proxy)
    if seen is None:
        return [rules, Finding("validation service", "ok", f"{url} answers")]
    cure = "Records are gated by the last known rules until it answers. Start it, or correct VALIDATION_SERVICE_URL."
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
