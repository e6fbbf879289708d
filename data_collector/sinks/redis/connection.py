"""One connection to a Redis-compatible server: whole batches out, whole batches of replies in.

redis-py's pipeline costs several times as much per command (docs/decisions/0003-hot-path.md), and its default
retries store a batch twice when a reply is lost. Here nothing is retried: the caller reads the tail and decides.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from functools import partial
from typing import NoReturn, Protocol, runtime_checkable

import hiredis

from data_collector.model.errors import Misconfigured, SinkUnavailable
from data_collector.model.store_url import StoreAddress
from data_collector.sinks.redis.flow import ReplyFlow
from data_collector.time_limit import time_limit

CONNECT_TIMEOUT_S = 5.0
REPLY_TIMEOUT_S = 10.0
"""A server that loads its data answers at once with LOADING; this long means that it is stuck or away."""

TOO_MANY = "max number of clients"
"""What a server says of its own accord, before it hangs up."""

IN_CLUSTER_MODE = (
    "runs in cluster mode, which does not work yet: what belongs together would lie on different servers. Give "
    "REDIS_URL a server with `cluster-enabled no`, or unset it for the embedded one."
)

_MORE = object()
"""The parser's word for an unfinished reply."""

Command = tuple[str | bytes | int, ...]

_ARRAYS = frozenset({"HMGET", "MGET", "TIME", "XINFO", "XPENDING", "XRANGE", "XREVRANGE"})
"""What these are answered with."""


class ReplyError(Exception):
    """What the server answered instead of a result; `kind` is its first word (`WRONGTYPE`, `OOM`, …)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.kind = text.partition(" ")[0][:32]


@runtime_checkable
class _Writable(Protocol):
    """What we use of a transport; uvloop's are no subclasses of asyncio's."""

    def write(self, data: bytes) -> None:
        """Send in order."""

    def abort(self) -> None:
        """Close at once."""


class StoreConnection(asyncio.Protocol):
    """Open with `connect`. Commands take turns: one batch is under way at a time."""

    def __init__(self, place: str = "", *, errors: str = "replace") -> None:
        """`place` is the store's address for sentences; `errors` is what becomes of bytes that are no text."""
        self._name = f"The store at {place}" if place else "The store"
        self._reader = hiredis.Reader(
            encoding="utf-8", errors=errors, replyError=ReplyError, protocolError=OSError, notEnoughData=_MORE
        )
        self._transport: _Writable | None = None
        self._replies: list[object] = []
        self._expected = 0
        self._flow = ReplyFlow()
        self._answered: asyncio.Future[None] | None = None
        self._asked_s = 0.0
        """By the loop's clock."""
        self.abandoned_s = 0.0
        """How long the answer was awaited that whoever asked gave up; 0 while nobody has."""
        self._lost: str | None = None

    @classmethod
    async def connect(cls, address: StoreAddress, *, errors: str = "replace") -> StoreConnection:
        """Connect, authenticate and select the database. Raises `SinkUnavailable`, or `Misconfigured` when refused."""
        loop = asyncio.get_running_loop()
        make = partial(cls, address.place, errors=errors)
        try:
            async with time_limit(CONNECT_TIMEOUT_S):
                if address.unix_path is not None:
                    _, connection = await loop.create_unix_connection(make, address.unix_path)
                else:
                    context = tls_context(address) if address.tls else None
                    _, connection = await loop.create_connection(make, address.host, address.port, ssl=context)
        except ssl.SSLCertVerificationError as error:
            raise Misconfigured(
                f"The store at {address.place} shows a certificate that cannot be trusted ({error.verify_message}). "
                f"{_certificate_cure(error.verify_message)}"
            ) from error
        except (OSError, TimeoutError) as error:
            raise SinkUnavailable(f"The store at {address.place} does not answer ({_reason(error)}).") from error
        await connection.log_in(address)
        return connection

    @property
    def is_open(self) -> bool:
        """False once the server or the network has gone."""
        return self._lost is None and self._transport is not None

    @property
    def silent_s(self) -> float:
        """How long an answer has been awaited; 0 while none is."""
        return 0.0 if self._answered is None else asyncio.get_running_loop().time() - self._asked_s

    async def execute(self, commands: Sequence[Command], *, timeout_s: float = REPLY_TIMEOUT_S) -> list[object]:
        """Send all commands in one write and return all replies; a server's error is a `ReplyError` among them.

        Raises `SinkUnavailable` when not every reply came: what was carried out is unknown then, and the connection
        is closed.
        """
        assert self._answered is None, "batches take turns"
        if not commands:
            return []
        if self._lost is not None or self._transport is None:
            raise SinkUnavailable(self._lost or "The store is not connected.")
        packed = _packed(commands)
        loop = asyncio.get_running_loop()
        self._expected = len(commands)
        self._flow.begin()
        # A plain timer: asyncio.timeout costs more than the rest of a small batch.
        timer = loop.call_later(timeout_s, self._fail, f"{self._name} has not answered for {timeout_s:g} s.")
        self._asked_s = timer.when() - timeout_s
        self._answered = loop.create_future()
        try:
            self._transport.write(packed)
            await self._answered
        except BaseException:
            # How much of it the server gets is unknown.
            self.abandoned_s = self.silent_s
            self.close()
            raise
        finally:
            timer.cancel()
            self._answered = None
        replies, self._replies = self._replies, []
        is_transaction = commands[0][0] == "MULTI"
        for command, reply in zip(commands, replies, strict=True):
            if is_transaction and reply == "QUEUED":
                continue
            if command[0] in _ARRAYS and not isinstance(reply, (list, ReplyError)):
                self.distrust(f"{command[0]} was answered with {str(reply)[:40]!r}")
        return replies

    def distrust(self, words: str) -> NoReturn:
        """A reply is none of a store. Closes the connection, and raises `SinkUnavailable`."""
        sentence = f"{self._name} does not answer as a store does ({words})."
        self._fail(sentence)
        raise SinkUnavailable(sentence)

    def close(self) -> None:
        """Drop the connection; replies under way are lost."""
        if self._transport is not None:
            self._transport.abort()
        self._lost = self._lost or "The connection to the store is closed."

    async def log_in(self, address: StoreAddress) -> None:
        """Authenticate and select the database; `connect` calls this. Raises as `connect` does."""
        commands: list[tuple[str | int, ...]] = []
        if address.password is not None:
            login = (address.username, address.password) if address.username else (address.password,)
            commands.append(("AUTH", *login))
        if address.database:
            commands.append(("SELECT", address.database))
        commands.append(("CLIENT", "SETNAME", "data-collector"))
        *replies, cluster = await self.execute([*commands, ("INFO", "cluster")])
        if not isinstance(cluster, ReplyError) and "cluster_enabled:1" in str(cluster):
            self.close()
            raise Misconfigured(f"The store at {address.place} {IN_CLUSTER_MODE}")
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ReplyError) and TOO_MANY in str(reply):
                self.close()
                raise SinkUnavailable(f"The store at {address.place} is not ready: {reply}")
            if isinstance(reply, ReplyError) and command[0] != "CLIENT":
                self.close()
                if reply.kind in {"LOADING", "MASTERDOWN", "BUSY"}:
                    raise SinkUnavailable(f"The store at {address.place} is not ready: {reply}")
                # A server may repeat the command in its error, and with AUTH the password.
                reason = reply.kind if command[0] == "AUTH" else str(reply)
                raise Misconfigured(f"The store at {address.place} refuses {command[0]!s}: {reason}. Check REDIS_URL.")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio calls this."""
        assert isinstance(transport, _Writable), "stream transports write"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio calls this."""
        if self._flow.is_endless(data):
            self._fail(f"{self._name} answers with more than anybody has asked for.")
            return
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _MORE:
                self._replies.append(reply)
        except (OSError, TypeError, ValueError) as error:
            # hiredis lets through what Python says of a map with impossible keys.
            self._fail(f"{self._name} does not speak the Redis protocol ({error}).")
            return
        if self._answered is None and self._replies and isinstance(self._replies[0], ReplyError):
            self._fail(f"{self._name} refuses us: {self._replies[0]}")
        elif self._answered is None or len(self._replies) > self._expected:
            self._fail(f"{self._name} has sent more replies than there were commands.")
        elif len(self._replies) == self._expected and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio calls this."""
        told = self._replies[0] if self._replies and TOO_MANY in str(self._replies[0]) else None
        self._fail(f"{self._name} has closed the connection ({told or (_reason(exc) if exc else 'end of stream')}).")

    def _fail(self, sentence: str) -> None:
        self._lost = self._lost or sentence
        if self._transport is not None:
            self._transport.abort()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(SinkUnavailable(self._lost))


def _packed(commands: Sequence[Command]) -> bytes:
    try:
        return b"".join(map(hiredis.pack_command, commands))
    except RuntimeError as error:
        # "Failed to serialize the command": hiredis has not got the memory.
        raise MemoryError(str(error)) from error
    except UnicodeEncodeError as error:
        # So Python shows bytes of a command line that were no text. The rest of it may be a password.
        letter = error.object[error.start]
        raise Misconfigured(f"A name or a value for the store holds {letter!r}: write it in UTF-8.") from None


def tls_context(address: StoreAddress) -> ssl.SSLContext:
    """Certificates and host names are checked; nothing below TLS 1.2. Raises `Misconfigured` for a bad CA file."""
    try:
        context = ssl.create_default_context(cafile=address.tls_ca_file)
    except OSError as error:
        raise Misconfigured(f"ssl_ca_certs in REDIS_URL cannot be read: {_reason(error)}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT_TIMEOUT_S:g} s"
    text = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _certificate_cure(fault: str) -> str:
    if "mismatch" in fault:
        return "Write a name of the certificate in REDIS_URL, or give the server a certificate for this one."
    if "expired" in fault or "not yet valid" in fault:
        return "Give the server a new certificate, and look at this machine's clock."
    return "Name its authority with ?ssl_ca_certs=FILE in REDIS_URL."
