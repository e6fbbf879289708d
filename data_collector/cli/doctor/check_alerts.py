"""What `doctor` tells about receivers of alerts: whether their addresses can be read. It sends nothing."""

from __future__ import annotations

from data_collector.alerting.courier import Errand
from data_collector.alerting.errand import CURE, send
from data_collector.cli.doctor.finding import Finding
from data_collector.settings import Settings


async def check_alerts(settings: Settings) -> list[Finding]:
    """Of each receiver that cannot work; one for all that can; none without ALERT_URLS."""
    urls = settings.alert_addresses
    if not urls:
        return []
    outcomes = await send(Errand(urls))
    wrong = [each for each in outcomes if each.reason is not None]
    if wrong:
        return [Finding("alerts", "fail", f"receiver {each.receiver}: {each.reason}", CURE) for each in wrong]
    named = ", ".join(each.receiver for each in outcomes)
    return [Finding("alerts", "ok", f"receivers {named}; `data-collector alerts test` sends to each")]
