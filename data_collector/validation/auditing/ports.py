"""Where chunks are audited: a worker process of our own, or a validation service."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Protocol

import aiohttp
import msgspec

from data_collector.decoding.bounded import bounded, retry_after_s
from data_collector.model.errors import Transient
from data_collector.outgoing import UNREACHED, open_session, reason_of
from data_collector.validation.auditing import proof
from data_collector.validation.auditing.audit_worker import AUDIT_TIMEOUT_S, CHECK_TIMEOUT_S, AuditWorker
from data_collector.validation.auditing.chunks import AuditBroken, AuditPort, Sealed
from data_collector.validation.auditing.messages import (
    Answer,
    Audit,
    AuditPart,
    AuditReport,
    AuditUpload,
    CheckReport,
    CheckSuite,
    Taken,
    WorkerFault,
    answer_decoder,
    encode,
)
from data_collector.validation.rules.columns import Kind

BATCH_BYTES_MAX: Final = 48 * 1024 * 1024
"""About 250,000 trades, which take 150 MiB more of the worker while it looks at them."""

PART_BYTES_MAX: Final = 2 * 1024 * 1024
"""A batch goes over the link in parts, so that handing it over never takes more than a millisecond of the loop."""

SERVICE_BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
"""A service takes at most 16 MiB at once, from any collector."""

SERVICE_TIMEOUT_S: Final = 10.0
SERVICE_AUDIT_TIMEOUT_S: Final = 90.0
"""Longer than the service itself waits for its worker."""

RETRY_AFTER_S_MAX: Final = 60.0
UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding a body may raise that somebody else wrote."""

ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024


class WorkerPort(AuditPort, Protocol):
    """A worker process beside the collector, of its own or shared with others."""

    @property
    def is_up(self) -> bool:
        """Whether the worker runs, and need not be started first."""

    @property
    def starts(self) -> int:
        """How often it has been started."""

    async def check(self, kind: Kind, document: bytes) -> list[str]:
        """What Great Expectations has against a suite. Raises `Transient` when it cannot be asked."""


class EmbeddedPort:
    """A worker process, started when it is needed, and started again when it died or had grown too large."""

    batch_bytes_max = BATCH_BYTES_MAX

    def __init__(self, *, quiet: bool = False) -> None:
        """`quiet`: for a command whose terminal belongs to people."""
        self._worker = AuditWorker(quiet=quiet)
        self._source = uuid.uuid4().hex
        self._starting = asyncio.Lock()
        self._auditing = asyncio.Lock()
        self.starts = 0

    @property
    def is_up(self) -> bool:
        """Whether the worker runs, and need not be started first."""
        return self._worker.alive

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        """See `AuditPort`. Raises `AuditBroken`, and `Transient` when no worker can be started."""
        async with self._auditing:
            await self._ready()
            return await audited(self._ask, self._source, chunks)

    async def _ask(self, request: AuditPart | Audit) -> Answer:
        try:
            return await self._worker.ask(request, timeout_s=AUDIT_TIMEOUT_S)
        except Transient as error:
            raise AuditBroken(f"The audit worker failed: {error}") from error

    async def check(self, kind: Kind, document: bytes) -> list[str]:
        """See `WorkerPort`."""
        await self._ready()
        try:
            answer = await self._worker.ask(CheckSuite(kind, document), timeout_s=CHECK_TIMEOUT_S)
        except Transient as error:
            # It was up: what it could not survive must not become the suite in force.
            return untried(str(error))
        return answer.faults if isinstance(answer, CheckReport) else untried(reason_of_answer(answer))

    async def close(self) -> None:
        """End the worker."""
        await self._worker.close()

    async def _ready(self) -> None:
        async with self._starting:
            if not self._worker.alive:
                self.starts += 1
                await self._worker.start()


class ServicePort:
    """A validation service over HTTP."""

    batch_bytes_max = SERVICE_BATCH_BYTES_MAX

    def __init__(self, url: str, *, use_proxy: bool, source: str | None = None, token: str | None = None) -> None:
        """`source` is what Data Docs call those whose records are audited; nobody else may have the same.

        With the service's `token` they are shown to be ours, which it takes for evidence then.
        """
        self._token = token
        self._url = url
        self._use_proxy = use_proxy
        self._source = source or uuid.uuid4().hex
        self._session: aiohttp.ClientSession | None = None

    async def audit(self, chunks: Sequence[Sealed]) -> AuditReport:
        """See `AuditPort`. Raises `AuditBroken` when the service refuses these chunks, `Transient` when it is away."""
        body = encode(AuditUpload(self._source, [msgspec.Raw(chunk.body) for chunk in chunks]))
        status, answer, wait_s = await self._request("POST", "/audit", body, SERVICE_AUDIT_TIMEOUT_S)
        if status in {409, 413, 422, 500}:
            raise AuditBroken(f"{self._url}/audit answered HTTP {status}: {_sentence(answer)}")
        if status != 200:
            raise Transient(f"{self._url}/audit answered HTTP {status}: {_sentence(answer)}", retry_after_s=wait_s)
        try:
            report = answer_decoder.decode(answer)
        except UNREADABLE as error:
            raise Transient(f"{self._url}/audit answered with something else ({error})") from error
        if not isinstance(report, AuditReport):
            raise AuditBroken(f"{self._url}/audit answered: {reason_of_answer(report)}")
        return report

    async def get(self, path: str) -> bytes:
        """The body of a GET. Raises `Transient` with what the service answered instead of 200."""
        status, answer, wait_s = await self._request("GET", path, None, SERVICE_TIMEOUT_S)
        if status != 200:
            message = f"{self._url}{path} answered HTTP {status}: {_sentence(answer)}"
            raise Transient(message, retry_after_s=wait_s)
        return answer

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> tuple[int, bytes, float | None]:
        if self._session is None:
            self._session = open_session(self._url, use_proxy=self._use_proxy)
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=2.0)
        headers = {"Content-Type": "application/msgpack"} if body is not None else {}
        if body is not None and self._token is not None:
            headers[proof.HEADER] = await proof.proof_of(body, self._token)
        try:
            request = self._session.request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False, timeout=timeout
            )
            async with request as response:
                answer = bytearray()
                async for part in response.content.iter_any():
                    answer += part
                    if len(answer) > ANSWER_BYTES_MAX:
                        raise Transient(f"{self._url}{path} answered with more than {ANSWER_BYTES_MAX} bytes")
                asked_s = retry_after_s(response.headers.get("Retry-After", ""))
                wait_s = None if asked_s is None else bounded(asked_s, RETRY_AFTER_S_MAX, 0.0)
                return response.status, bytes(answer), wait_s
        except TimeoutError as error:
            raise Transient(f"{self._url} did not answer within {timeout_s:g} s") from error
        except UNREACHED as error:
            raise Transient(f"{self._url} cannot be reached ({reason_of(error)})") from error


async def audited(
    ask: Callable[[AuditPart | Audit], Awaitable[Answer]], source: str, chunks: Sequence[Sealed]
) -> AuditReport:  # fmt: skip
    """What a worker says of chunks that it gets in parts. Raises `AuditBroken` when it refuses them."""
    for request in _requests(source, chunks):
        answer = await ask(request)
        if not isinstance(answer, Taken):
            break
    if not isinstance(answer, AuditReport):
        raise AuditBroken(f"The audit worker refused: {reason_of_answer(answer)}")
    return answer


def untried(reason: str) -> list[str]:
    """Against a suite that Great Expectations was asked about in vain."""
    return [f"Great Expectations could not try it: {reason}"]


def reason_of_answer(answer: Answer) -> str:
    """Why it is not the one that was asked for."""
    return answer.message if isinstance(answer, WorkerFault) else type(answer).__name__


def _requests(source: str, chunks: Sequence[Sealed]) -> Iterator[AuditPart | Audit]:
    *before, last = _parts(chunks)
    for number, part in enumerate(before):
        yield AuditPart(part, is_first=number == 0)
    suites = {chunk.digest: chunk.document for chunk in chunks}
    yield Audit(source, suites, last, chunks_before=len(chunks) - len(last))


def _parts(chunks: Sequence[Sealed]) -> list[list[msgspec.Raw]]:
    """At least one, and each of one chunk at least."""
    parts: list[list[msgspec.Raw]] = [[]]
    size = 0
    for chunk in chunks:
        if size + len(chunk.body) > PART_BYTES_MAX and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(msgspec.Raw(chunk.body))
        size += len(chunk.body)
    return parts


def _sentence(answer: bytes) -> str:
    """The `detail` of our own errors; of anything else what fits in a line."""
    try:
        return msgspec.json.decode(answer, type=dict[str, str]).get("detail", "")[:500]
    except UNREADABLE:
        return answer[:200].decode(errors="replace")
