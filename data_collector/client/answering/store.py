"""Redis clients: the one that we make of an address, and those that users bring, of redis-py or valkey-py."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Protocol, TypedDict

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from data_collector.client.errors import StoreAway, WrongQuestion, WrongStore
from data_collector.client.reading.questions import StoreCommand
from data_collector.model.errors import Misconfigured
from data_collector.model.store_url import parse_store_url

DEFAULT_STORE = "redis://127.0.0.1:6379"

TIMEOUT_S = 10.0
"""For an answer, beyond the time that it may wait for news."""

RAW_COMMANDS = ("XREAD", "XRANGE", "XREVRANGE")
"""Their replies are read as they come, without a dict for each entry."""

CLUSTER_ERRORS = ("AskError", "ClusterCrossSlotError", "ClusterDownError", "MovedError")
"""Of a server in cluster mode, to a client that takes it for one without."""

IN_CLUSTER_MODE = (
    "The store runs in cluster mode, which no collector writes to yet: name one that has cluster-enabled no, the one "
    "that the collector writes to."
)

SENTINEL = (
    "An address of Sentinel is not read: give the client that redis-py makes of it, "
    "redis.sentinel.Sentinel([(host, port)]).master_for(name), or redis.asyncio's for AsyncClient."
)


class StoreClient(Protocol):
    """A `redis.Redis` or `valkey.Valkey`."""

    def execute_command(self, *args: str | int) -> object: ...


class AsyncStoreClient(Protocol):
    """A `redis.asyncio.Redis` or `valkey.asyncio.Valkey`."""

    def execute_command(self, *args: str | int) -> Awaitable[object]: ...


class _Arguments(TypedDict, total=False):
    host: str
    port: int
    db: int
    username: str | None
    password: str | None
    unix_socket_path: str | None
    ssl: bool
    ssl_ca_certs: str | None
    socket_timeout: float


def arguments_of(url: str) -> _Arguments:
    """What a client is made with. Raises `WrongQuestion`."""
    if "+sentinel://" in url:
        raise WrongQuestion(SENTINEL)
    try:
        address = parse_store_url(url)
    except Misconfigured as error:
        raise WrongQuestion(f"The address of the store cannot be read: {error}.") from None
    return {
        "host": address.host, "port": address.port, "db": address.database, "username": address.username,
        "password": address.password, "unix_socket_path": address.unix_path, "ssl": address.tls,
        "ssl_ca_certs": address.tls_ca_file, "socket_timeout": TIMEOUT_S,
    }  # fmt: skip


def made_store(url: str) -> redis.Redis:
    """A client of our own."""
    client = redis.Redis(**arguments_of(url), protocol=2, retry=Retry(NoBackoff(), 1))
    for command in RAW_COMMANDS:
        client.set_response_callback(command, _as_it_came)
    return client


def made_async_store(url: str) -> redis.asyncio.Redis:
    """A client of our own."""
    client = redis.asyncio.Redis(**arguments_of(url), protocol=2, retry=AsyncRetry(NoBackoff(), 1))
    for command in RAW_COMMANDS:
        client.set_response_callback(command, _as_it_came)
    return client


def check_store(client: object, *, is_async: bool) -> None:
    """Raise `WrongQuestion` for what is no client of the kind."""
    if type(client).__name__ in ("RedisCluster", "ValkeyCluster"):
        raise WrongStore(IN_CLUSTER_MODE)
    execute = getattr(client, "execute_command", None)
    if not callable(execute) or inspect.iscoroutinefunction(execute) != is_async:
        wanted = ("AsyncClient", "redis.asyncio.Redis") if is_async else ("Client", "redis.Redis")
        given = f"{type(client).__module__}.{type(client).__name__}"
        raise WrongQuestion(f"{wanted[0]} takes an address or a {wanted[1]}, and was given {given}.")


def patient(command: StoreCommand, client: object) -> tuple[str | int, ...]:
    """The words, where one waits for news not longer than half of what the client waits for an answer."""
    words = command.words
    timeout_s = _timeout_s(client)
    if "BLOCK" not in words or timeout_s is None:
        return words
    place = words.index("BLOCK") + 1
    return (*words[:place], min(int(words[place]), max(1, int(timeout_s * 500))), *words[place + 1 :])


def store_away(error: Exception, hint: str = "") -> StoreAway | WrongStore | None:
    """The sentence for what a Redis library raises; None for what is a bug. `hint` tells where it was looked for."""
    library = type(error).__module__.partition(".")[0]
    if library not in ("redis", "valkey") and not isinstance(error, OSError):
        return None
    if type(error).__name__ in CLUSTER_ERRORS:
        return WrongStore(IN_CLUSTER_MODE)
    return StoreAway(
        f"The store cannot be read ({str(error) or type(error).__name__}); {hint or 'REDIS_URL names it'}."
    )


def _timeout_s(client: object) -> float | None:
    pool = getattr(client, "connection_pool", None)
    arguments = getattr(pool, "connection_kwargs", None)
    timeout_s = arguments.get("socket_timeout") if isinstance(arguments, Mapping) else None
    return float(timeout_s) if isinstance(timeout_s, int | float) else None


def _as_it_came(response: object, **_options: object) -> object:
    return response
