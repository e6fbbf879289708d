"""A load of the past, put together: rules in force, gate, audit, quarantine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from data_collector.model.errors import Misconfigured, Transient, Unavailable
from data_collector.service.loading.gated_rows import GatedRows
from data_collector.service.loading.load_audit import LoadAudit
from data_collector.service.suites import ServiceSource
from data_collector.service.validation import why_off
from data_collector.settings import Settings
from data_collector.sinks.postgres.quarantine import PostgresQuarantine
from data_collector.sinks.postgres.writing import PostgresWriter
from data_collector.validation.auditing.ports import EmbeddedPort, ServicePort
from data_collector.validation.gate.gate import CompiledGate, gate_of
from data_collector.validation.rules.columns import KINDS
from data_collector.validation.rules.folder import RulesFolder


class Load(Struct, frozen=True):
    """What is needed to bring rows."""

    gate: CompiledGate
    rows: GatedRows
    audit: LoadAudit


@asynccontextmanager
async def opened_load(
    settings: Settings, writer: PostgresWriter, quarantine: PostgresQuarantine
) -> AsyncIterator[Load]:  # fmt: skip
    """For the length of the block. Raises `Misconfigured` for wrong rules, `Unavailable` when nobody tells them."""
    off = why_off(settings)
    async with AsyncExitStack() as stack:
        port: EmbeddedPort | ServicePort | None = None
        if settings.validation_service_url is not None:
            port = ServicePort(settings.validation_service_url, use_proxy=settings.use_proxy)
        elif off is None:
            port = EmbeddedPort(quiet=True)
        if port is not None:
            stack.push_async_callback(port.close)
        gate = await rules_in_force(settings, port if isinstance(port, ServicePort) else None)
        audit = LoadAudit(gate, port if off is None else None, off)
        stack.push_async_callback(audit.close)
        yield Load(gate, GatedRows(writer, quarantine, gate, audit), audit)


async def rules_in_force(settings: Settings, service: ServicePort | None) -> CompiledGate:
    """Those of `SUITES_DIR`, or of the service. Nothing is judged by other rules than those that were meant."""
    if settings.validation_service_url is not None and service is not None:
        source = ServiceSource(settings.validation_service_url, service, kept=None)
        try:
            offered = await source.changed(dict.fromkeys(KINDS, ""))
        except Transient as error:
            raise Unavailable(
                f"{error}. It has the rules in force (VALIDATION_SERVICE_URL): nothing was done."
            ) from error
    else:
        offered = RulesFolder(settings.suites_dir).load()
    if offered.faults:
        raise Misconfigured("\n".join([*offered.faults.values(), "Nothing was done. Correct the rules first."]))
    return gate_of(offered.suites)
