"""Which parts of a service are not up, and why, in words for its screen."""

from __future__ import annotations

from data_collector.model.status import ConnectionStatus, Snapshot

EXCHANGE, POSTGRES, VALIDATION = "Exchange", "PostgreSQL", "Validation"
"""Parts, as the screen calls them."""

COLLECTOR = "Collector"


def not_up(snapshot: Snapshot) -> dict[str, str]:
    """Part to the reason."""
    if not snapshot.has_begun:
        history = snapshot.history
        reason = next(iter(snapshot.reasons), "starting")
        is_beginning = snapshot.collector_running and history.is_beginning
        return {POSTGRES: history.reason or "starting"} if is_beginning else {COLLECTOR: reason.rstrip(".")}
    found: dict[str, str] = {}
    unconnected = _unconnected(snapshot.connections)
    if unconnected is not None:
        found[EXCHANGE] = unconnected
    if snapshot.history.state == "down":
        found[POSTGRES] = snapshot.history.reason or "no reason is told"
    audit = snapshot.validation.audit
    if audit.state == "down":
        found[VALIDATION] = audit.reason or "no reason is told"
    return found


def _unconnected(lines: list[ConnectionStatus]) -> str | None:
    """Why an exchange is not connected: of several each has its name before those of its lines."""
    of_exchange: dict[str, list[ConnectionStatus]] = {}
    for line in lines:
        of_exchange.setdefault(line.line.rpartition(":")[0], []).append(line)
    told = []
    for name, own in of_exchange.items():
        if any(line.state == "connected" for line in own):
            continue
        reason = next((line.last_error for line in own if line.last_error), "connecting")
        told.append(f"{name}: {reason}" if name else reason)
    return "; ".join(told) or None
