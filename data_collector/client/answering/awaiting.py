"""Answers that are awaited."""

from __future__ import annotations

import asyncio
import time
import warnings
from typing import TYPE_CHECKING, TypeVar, assert_never

from data_collector.client.answering.http import Api
from data_collector.client.answering.places import NO_DRIVER, Places
from data_collector.client.answering.store import AsyncStoreClient, made_async_store, patient, store_away
from data_collector.client.errors import NotInstalled, SilentSeries
from data_collector.client.reading.questions import (
    ApiRequest,
    Clock,
    DatabaseCopy,
    Notice,
    Plan,
    Question,
    StoreCommand,
    WaitUntil,
)

if TYPE_CHECKING:
    from data_collector.client.postgres import AsyncDatabase

Found = TypeVar("Found")


class AsyncAnswering:
    """One client's connections."""

    def __init__(self, store: AsyncStoreClient | None, places: Places) -> None:
        """Raises `WrongQuestion` and `NotInstalled`. A store that is given stays open."""
        self._own_store = made_async_store(places.store) if store is None else None
        self._store = store or self._own_store
        self._hint = places.called(is_given=store is not None).hint
        self._api = Api(places.api) if places.api else None
        self._database = _database_of(places.database) if places.database else None

    async def answer(self, question: Question) -> object:
        """Raises `StoreAway`, `ApiAway`, `DatabaseAway`; the question may be asked again then."""
        task = asyncio.current_task()
        assert task is not None, "it is awaited in one"
        cancelled = task.cancelling()
        answer = await self._answered(question)
        if task.cancelling() > cancelled:
            # redis-py sends by `asyncio.wait_for`, which before Python 3.12 forgets a cancellation (Ctrl-C) when what
            # it waits for ends in the same moment.
            raise asyncio.CancelledError
        return answer

    async def _answered(self, question: Question) -> object:
        match question:
            case StoreCommand():
                return await self._reply(question)
            case ApiRequest():
                assert self._api is not None, "without one nothing is asked of it"
                return await asyncio.to_thread(self._api.get, question)
            case DatabaseCopy():
                assert self._database is not None, "without one nothing is asked of it"
                return await self._database.copy(question)
            case Notice():
                warnings.warn(question.sentence, SilentSeries, stacklevel=2)
                return None
            case Clock():
                return time.monotonic()
            case WaitUntil():
                await asyncio.sleep(max(0.0, question.at_s - time.monotonic()))
                return None
        assert_never(question)

    async def finish(self, plan: Plan[Found]) -> Found:
        """What a programme finds."""
        try:
            question = next(plan)
            while True:
                question = plan.send(await self.answer(question))
        except StopIteration as end:
            found: Found = end.value
            return found

    async def close(self) -> None:
        """Hang up."""
        if self._own_store is not None:
            await self._own_store.aclose()
        if self._api is not None:
            await asyncio.to_thread(self._api.close)
        if self._database is not None:
            await self._database.close()

    async def _reply(self, command: StoreCommand) -> object:
        assert self._store is not None, "there is one"
        try:
            return await self._store.execute_command(*patient(command, self._store))
        except Exception as error:
            away = store_away(error, self._hint)
            if away is None:
                raise
            if command.is_optional:
                return None
            raise away from error


def _database_of(dsn: str) -> AsyncDatabase:
    try:
        from data_collector.client.postgres import AsyncDatabase  # noqa: PLC0415 (without the extra there is no driver)
    except ImportError as error:
        raise NotInstalled(NO_DRIVER) from error
    return AsyncDatabase(dsn)
