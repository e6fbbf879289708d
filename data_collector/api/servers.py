"""The embedded store and database of several collectors: they are this process's, so that no collector ends them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from data_collector.embedded.guard import ServersGuard
from data_collector.embedded.lock import SERVERS_LOCK, FileLock, lock_directory
from data_collector.embedded.postgres import EmbeddedPostgres
from data_collector.embedded.valkey import BRING_BACK_S, EmbeddedValkey
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.logs import get_log
from data_collector.service.former_stores import tell_left_behind
from data_collector.settings import Settings
from data_collector.settings.texts import EMBEDDED


class Servers:
    """Those that the settings leave to us, in a folder that the first exchange's collector uses too."""

    def __init__(self, settings: Settings, folder: Path, *, empty: bool) -> None:
        """`empty` throws away what they held."""
        url = None if settings.database_url is None else settings.database_url.get_secret_value()
        self.folder = folder
        self._empty = empty
        self._log = get_log()
        self._lock: FileLock | None = None
        self._guard = ServersGuard(folder)
        self._store = EmbeddedValkey(folder, log=self._log) if settings.redis_url is None else None
        self._database = EmbeddedPostgres(folder / "postgres", log=self._log) if url == EMBEDDED else None
        self.database_url: str | None = None
        """Of the embedded PostgreSQL, once it runs."""

    @property
    def is_needed(self) -> bool:
        """Whether there are any."""
        return self._store is not None or self._database is not None

    async def start(self) -> dict[str, str]:
        """Return when they take commands, with the variables that lead collectors to them.

        Raises `Misconfigured` or `Unavailable`; call `close` then too.
        """
        if self.is_needed:
            self._lock = await asyncio.to_thread(lock_directory, self.folder, SERVERS_LOCK)
            # A collector that runs alone in there would be robbed of its servers.
            (await asyncio.to_thread(lock_directory, self.folder)).release()
            await asyncio.to_thread(self._guard.start)
        found: dict[str, str] = {}
        if self._store is not None:
            if not self._empty:
                await asyncio.to_thread(tell_left_behind, self.folder, self._log)
            await self._store.start()
            if self._empty:
                await self._store.empty()
            found |= {"REDIS_URL": self._store.address.whole, "REDIS_URL_FILE": ""}
        if self._database is not None:
            if self._empty:
                await self._database.empty()
            await self._database.start()
            self.database_url = self._database.dsn
            found |= {"DATABASE_URL": self.database_url, "DATABASE_URL_FILE": ""}
        return found

    async def keep_up(self) -> None:
        """Bring back what ends; never returns."""
        async with asyncio.TaskGroup() as tasks:
            if self._store is not None:
                tasks.create_task(self._store.keep_up())
            if self._database is not None:
                tasks.create_task(self._keep_database(self._database))
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Stop them with everything written out, and unlock the folder."""
        if self._database is not None:
            await self._database.stop()
        if self._store is not None:
            await self._store.stop()
        await asyncio.to_thread(self._guard.end)
        if self._lock is not None:
            self._lock.release()

    async def _keep_database(self, database: EmbeddedPostgres) -> None:
        while True:
            await database.wait()
            self._log.error("embedded_postgres_ended")
            try:
                await database.start()
            except (Misconfigured, Unavailable) as error:
                self._log.error("embedded_postgres_not_started", reason=str(error), retry_s=BRING_BACK_S)
                await asyncio.sleep(BRING_BACK_S)
