"""Answers that are waited for."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, TypeVar, assert_never

from data_collector.client.answering.http import Api
from data_collector.client.answering.places import NO_DRIVER, Places
from data_collector.client.answering.store import StoreClient, made_store, patient, store_away
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
    from data_collector.client.postgres import Database

Found = TypeVar("Found")


class Answering:
    """One client's connections."""

    def __init__(self, store: StoreClient | None, places: Places) -> None:
        """Raises `WrongQuestion` and `NotInstalled`. A store that is given stays open."""
        self._own_store = made_store(places.store) if store is None else None
        self._store = store or self._own_store
        self._hint = places.called(is_given=store is not None).hint
        self._api = Api(places.api) if places.api else None
        self._database = _database_of(places.database) if places.database else None

    def answer(self, question: Question) -> object:
        """Raises `StoreAway`, `ApiAway`, `DatabaseAway`; the question may be asked again then."""
        match question:
            case StoreCommand():
                return self._reply(question)
            case ApiRequest():
                assert self._api is not None, "without one nothing is asked of it"
                return self._api.get(question)
            case DatabaseCopy():
                assert self._database is not None, "without one nothing is asked of it"
                return self._database.copy(question)
            case Notice():
                warnings.warn(question.sentence, SilentSeries, stacklevel=2)
                return None
            case Clock():
                return time.monotonic()
            case WaitUntil():
                time.sleep(max(0.0, question.at_s - time.monotonic()))
                return None
        assert_never(question)

    def finish(self, plan: Plan[Found]) -> Found:
        """What a programme finds."""
        try:
            question = next(plan)
            while True:
                question = plan.send(self.answer(question))
        except StopIteration as end:
            found: Found = end.value
            return found

    def close(self) -> None:
        """Hang up."""
        if self._own_store is not None:
            self._own_store.close()
        if self._api is not None:
            self._api.close()
        if self._database is not None:
            self._database.close()

    def _reply(self, command: StoreCommand) -> object:
        assert self._store is not None, "there is one"
        try:
            return self._store.execute_command(*patient(command, self._store))
        except Exception as error:
            away = store_away(error, self._hint)
            if away is None:
                raise
            if command.is_optional:
                return None
            raise away from error


def _database_of(dsn: str) -> Database:
    try:
        from data_collector.client.postgres import Database  # noqa: PLC0415 (without the extra there is no driver)
    except ImportError as error:
        raise NotInstalled(NO_DRIVER) from error
    return Database(dsn)
