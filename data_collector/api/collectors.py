"""Several collectors, one for each exchange, as one service (docs/decisions/0024-several-exchanges.md)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct, structs

from data_collector.api.announcing import OnState, announce
from data_collector.api.collector import COLLECTOR_COMMAND, Collector
from data_collector.api.servers import Servers
from data_collector.api.together import Counts, joined
from data_collector.control import Action
from data_collector.model.backoff import Backoff
from data_collector.model.errors import CollectorError, Misconfigured, Transient
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import ChangeStatus
from data_collector.observe.logs import get_log
from data_collector.service.former_stores import known_folders, with_store
from data_collector.service.subscription_plan import settings_of_each
from data_collector.settings import Settings, variables_of_others
from data_collector.settings.fields import variable_of
from data_collector.time_limit import time_limit
from data_collector.validation.auditing.audit_worker import gx_is_installed
from data_collector.validation.auditing.shared_worker import SharedWorker
from data_collector.venues.discovery import find_venue

RESTART_FIRST_S: Final = 0.5
RESTART_LONGEST_S: Final = 60.0

HUNG_S: Final = 60.0
"""One that has not answered for so long will not: it is killed, as whoever asks `/health/live` restarts one alone."""

LOOK_S: Final = 1.0

NOT_AGAIN: Final = "It is not started again, because its settings cannot work: mend that and restart."
LOG_TELLS: Final = "The log says why. "

EMPTY: Final = "--empty"
"""Of a command: begin with nothing."""

_log = get_log()


class SeveralExchanges(Struct, frozen=True):
    """What several collectors are started with."""

    settings: dict[str, Settings]
    """Of each exchange, in the order of `EXCHANGES`."""
    commands: dict[str, Sequence[str]]
    folder: Path
    """Of the servers that are embedded."""
    empty: bool = False
    """Throw away what these held."""


def several_of(settings: Settings, environ: Mapping[str, str] | None = None) -> SeveralExchanges:
    """The usual ones: each in its own folder, and the servers in that of the first, which may have run alone.

    Where the first has none, and another one has, they are there: names may come in another order, or one is gone.
    """
    names = settings.exchanges
    folders = [settings.var_dir / find_venue(name).folder for name in names]
    for notice in settings.notices:
        _log.warning("notice", text=notice)
    first = next(iter(with_store((*folders, *known_folders(settings.var_dir)))), folders[0])
    return SeveralExchanges(
        settings=settings_of_each(names, environ),
        commands=dict.fromkeys(names, COLLECTOR_COMMAND),
        folder=first,
    )


class KeptCollector(Collector):
    """The collector of one exchange among several: it is started again when it ends, and the others run on."""

    def __init__(
        self, settings: Settings, command: Sequence[str], environment: Mapping[str, str], audit: SharedWorker | None
    ) -> None:  # fmt: skip
        """`audit` is the worker that all share; None where there is none."""
        super().__init__(command, environment)
        self._given = dict(environment)
        """Of every start, but for what an operator has changed."""
        self._audit = audit
        self.name = settings.exchange
        self._settings = settings
        self._store_url: str | None = None
        """That is read before it speaks, and where it never does."""
        self._database_url: str | None = None
        self._stop_wanted = asyncio.Event()
        self._is_stopped = False
        """By an operator: a restart must not start the collection again."""
        self.former = Counts()
        """What processes had counted that have ended."""

    async def keep(self, variables: Mapping[str, str], database_url: str | None) -> None:
        """Start the process and start it again whenever it ends, until `stop` or for ever.

        `variables` lead to the servers that are shared. Returns when there is no use in another start.
        """
        structlog.contextvars.bind_contextvars(exchange=self.name)
        settings = self._settings
        for notice in settings.notices:
            _log.warning("notice", text=notice)
            # It would refuse what it has not.
            variables = {
                **variables, "INTERVALS": ",".join(settings.intervals), "CHANNELS": ",".join(settings.channels),
            }  # fmt: skip
        self._given = {
            **self._given, **dict.fromkeys(variables_of_others(self.name), ""),
            "EXCHANGES": self.name, **variables,
        }  # fmt: skip
        address = self._settings.store_address()
        self._store_url = variables.get("REDIS_URL", None if address is None else address.whole)
        self._database_url = database_url
        backoff = Backoff(RESTART_FIRST_S, RESTART_LONGEST_S, jitter=False)
        while not self._stop_wanted.is_set():
            started_s = time.monotonic()
            try:
                await self._serve_once()
            except OSError as error:
                self.fault = f"The collector process cannot be started ({error.strerror})."
            if self._stop_wanted.is_set():
                return
            if self.exit_code == Misconfigured.exit_code:
                told = "" if self.last.ending else LOG_TELLS
                self.fault = f"{self.fault} {told}{NOT_AGAIN}"
                return
            wait_s = backoff.next_delay_s(served_s=time.monotonic() - started_s)
            self.fault = f"{self.fault} It is started again."
            _log.error("collector_restarts", restart_s=wait_s)
            with contextlib.suppress(TimeoutError):
                async with time_limit(wait_s):
                    await self._stop_wanted.wait()

    async def stop(self) -> None:
        """Hang up and wait for the process to end, also when there is none."""
        self.stopping = True
        self._stop_wanted.set()
        if self._child is not None:
            await super().stop()

    async def act(self, action: Action) -> Snapshot:
        """As of any collector; what an operator wants holds for the processes that follow, too."""
        self._is_stopped = action == "stop"
        try:
            return await super().act(action)
        except Transient as error:
            if self.exit_code == Misconfigured.exit_code:
                raise
            begins = "stopped" if self._is_stopped else "collecting"
            raise Transient(f"{error} Its next process begins {begins}.") from error

    async def status(self) -> Snapshot:
        """As of any collector, with what is known before it speaks."""
        snapshot = self._completed(await super().status())
        return structs.replace(snapshot, database_url=self._database_url or snapshot.database_url)

    @property
    def last(self) -> Snapshot:
        """As of any collector, with what is known before it speaks."""
        return self._completed(super().last)

    def _completed(self, snapshot: Snapshot) -> Snapshot:
        if snapshot.exchange is not None:
            return snapshot
        settings = self._settings
        return structs.replace(
            snapshot, exchange=self.name, key_prefix=find_venue(self.name).key_prefix, store_url=self._store_url,
            symbols=list(settings.symbols), intervals=list(settings.intervals), channels=list(settings.channels),
        )  # fmt: skip

    def _change_in(self, answer: Snapshot) -> ChangeStatus:
        status = super()._change_in(answer)
        if not self._changes():
            return status
        # To a process that began with the change it is none.
        return structs.replace(status, present=structs.replace(status.present, changed=True))

    def _changes(self) -> dict[str, str]:
        """What an operator has changed while it ran, as variables of the next start."""
        last = self._last
        if last.exchange is None:
            return {}
        now: dict[str, Sequence[str]] = {
            "symbols": last.symbols,
            "intervals": last.intervals,
            "channels": last.channels,
        }
        return {
            variable_of(field, self.name): ",".join(names)
            for field, names in now.items()
            if names and tuple(names) != getattr(self._settings, field)
        }

    async def _serve_once(self) -> None:
        self._environment = {**self._given, **self._changes()}
        if self._audit is None:
            await self.start()
        else:
            with self._audit.connect() as line:
                await self.start({"--audit-fd": line})
        # The next one goes on with what this one has got.
        self._command = tuple(word for word in self._command if word != EMPTY)
        beside = [asyncio.create_task(self._end_hung(), name="silence")]
        if self._is_stopped:
            beside.append(asyncio.create_task(self._stop_again(), name="stopping"))
        try:
            await self.run()
        finally:
            for task in beside:
                task.cancel()
        if beside[0].done() and not beside[0].cancelled():
            self.fault = f"The collector process did not answer for {HUNG_S:g} s and was killed."
        self.former = self.former.plus(self._last)
        # What it measured would look like what is.
        self._last = structs.replace(
            self._last, messages_received=0, messages_validated=0, validation_errors=0, messages_in_flight=0,
            last_message_seconds_ago=None, connections=[], samples=[], histograms=[],
        )  # fmt: skip

    async def _end_hung(self) -> None:
        assert self._child is not None, "start() comes first"
        silent_since_s: float | None = None
        while True:
            await asyncio.sleep(LOOK_S)
            # Asked anew each time: if it was this process that was held, the answer is there by now.
            await self.status()
            if self.fault is None:
                silent_since_s = None
            elif silent_since_s is None:
                silent_since_s = time.monotonic()
            elif time.monotonic() - silent_since_s >= HUNG_S:
                _log.error("collector_hangs", pid=self._child.pid, silent_s=HUNG_S)
                self._child.send_signal(signal.SIGKILL)
                return

    async def _stop_again(self) -> None:
        with contextlib.suppress(Transient):
            # `run` has to be there first, as it holds the tasks.
            await asyncio.sleep(0)
            await super().act("stop")


class Collectors:
    """All of them, the servers that they share, and the one process of Great Expectations that audits for all."""

    def __init__(self, several: SeveralExchanges, environment: Mapping[str, str] | None) -> None:
        first = next(iter(several.settings.values()))
        self._servers = Servers(first, several.folder, empty=several.empty)
        shared = ("--servers", str(several.folder)) if self._servers.is_needed else ()
        has_audit = first.gx_audit and first.validation_service_url is None and gx_is_installed()
        self._audit = SharedWorker() if has_audit else None
        own = os.environ if environment is None else environment
        self.of = {
            name: KeptCollector(settings, (*several.commands[name], *shared), own, self._audit)
            for name, settings in several.settings.items()
        }
        """By exchange, in the order of `EXCHANGES`."""
        self.exit_code: int | None = None
        """Where all of them, or their servers, cannot be."""
        self.stopping = False

    async def run(self, on_state: OnState | None = None) -> None:
        """Until `stop`; ends by itself where the servers cannot be started, or no collector can work."""
        try:
            variables = await self._servers.start()
        except CollectorError as error:
            sys.stderr.write(f"{error}\n")
            self.exit_code = error.exit_code
            return
        keeping = [asyncio.create_task(self._servers.keep_up(), name="servers")]
        if on_state is not None:
            first = next(iter(self.of.values()))
            keeping.append(asyncio.create_task(announce(first.status, on_state, self._with_others), name="announcing"))
        try:
            async with asyncio.TaskGroup() as tasks:
                for collector in self.of.values():
                    tasks.create_task(collector.keep(variables, self._servers.database_url), name=collector.name)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.wait(keeping)
        if not self.stopping:
            self.exit_code = Misconfigured.exit_code

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Hang up on all, and stop the servers when none writes any more; `running` is `run`."""
        self.stopping = True
        await asyncio.gather(*(collector.stop() for collector in self.of.values()))
        await asyncio.wait((running,))
        if self._audit is not None:
            await self._audit.close()
        await self._servers.close()
        running.result()

    async def joined(self) -> Snapshot:
        """The state of all as one."""
        found = await asyncio.gather(*(collector.status() for collector in self.of.values()))
        return joined(dict(zip(self.of, found, strict=True)), {name: each.former for name, each in self.of.items()})

    async def _with_others(self, snapshot: Snapshot) -> Snapshot:
        """That of the first, with what is to be shown of all."""
        whole = await self.joined()
        return structs.replace(
            snapshot, reasons=whole.reasons, symbols=whole.symbols, uncollected=whole.uncollected,
            connections=whole.connections, history=whole.history, validation=whole.validation,
        )  # fmt: skip
