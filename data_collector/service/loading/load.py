"""A load of the past, put together: rules in force, gate, audit, quarantine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
from data_collector.validation.rules.folder import LoadedRules, RulesFolder


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
    gate, off = await gate_in_force(settings), why_off(settings)
    url = settings.validation_service_url
    port = (
        EmbeddedPort(quiet=True) if url is None
        else ServicePort(url, use_proxy=settings.use_proxy, token=settings.token)
    )  # fmt: skip
    audit = LoadAudit(gate, port if off is None else None, off)
    try:
        yield Load(gate, GatedRows(writer, quarantine, gate, audit), audit)
    finally:
        await audit.close()
        await port.close()


async def gate_in_force(settings: Settings) -> CompiledGate:
    """By the rules of `SUITES_DIR`, or of the service: nothing is judged by other rules than those that were meant.

    Raises `Misconfigured` where they are wrong, `Unavailable` where the service does not answer.
    """
    offered = await _offered(settings)
    if offered.faults:
        raise Misconfigured("\n".join([*offered.faults.values(), "Nothing was done. Correct the rules first."]))
    return gate_of(offered.suites)


async def _offered(settings: Settings) -> LoadedRules:
    url = settings.validation_service_url
    if url is None:
        return RulesFolder(settings.suites_dir).load()
    port = ServicePort(url, use_proxy=settings.use_proxy)
    try:
        return await ServiceSource(url, port, kept=None).changed(dict.fromkeys(KINDS, ""))
    except Transient as error:
        raise Unavailable(f"{error}. VALIDATION_SERVICE_URL has the rules: nothing was done.") from error
    finally:
        await port.close()
