"""The collector as the HTTP side sees it: a process that is asked, whose answers are shared."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import structs

from data_collector.api.announcing import OnState, announce
from data_collector.api.unanswered import unanswered
from data_collector.child import Child, start_child
from data_collector.control import ANSWER_TIMEOUT_S, SNAPSHOTS, Action, ControlClient, Request
from data_collector.model.errors import Transient
from data_collector.model.status import Snapshot
from data_collector.model.subscriptions import ChangeStatus, DesiredSubscriptions
from data_collector.observe.logs import get_log
from data_collector.time_limit import time_limit

COLLECTOR_COMMAND = (sys.executable, "-m", "data_collector", "collect")
"""`--control-fd N` is appended: the end of the socket pair that the child answers on. `--api URL` too, where known."""

ORDERLY_STOP_S = 15.0
"""The collector stops in three phases with deadlines of their own; past this it is stuck."""

TERMINATED_STOP_S = 5.0
"""What a stuck process gets between SIGTERM and SIGKILL."""

FRESH_S = 0.1
"""An answer this young is given again, so any number of requests costs the collector at most 10 answers a second."""

ACTION_TIMEOUT_S = 30.0
"""A stop writes out what is buffered; a start connects and subscribes."""

CHANGE_TIMEOUT_S = 120.0
"""5,000 symbols of six streams are 150 control messages, at 4 a second on each of 30 connections."""

ASK_AGAIN_S = 0.1

SUBSCRIBED_FRESH_S = 0.5
"""What is subscribed is a long list, and told to any number of clients twice a second at most."""

UNANSWERED_S = 86_400.0
"""How long a question may stay unanswered before the link is given up.

Requests give up after `ANSWER_TIMEOUT_S` and are told so. The link outlasts them, because hanging up stops the
collector, and a process that was held for some seconds (a debugger, a machine asleep) is no reason to stop.
"""

SILENT = f"The collector process has not answered for {ANSWER_TIMEOUT_S:g} s."

_KILLED_BY_SIGNAL = 128
"""Shells add this to the number of the signal that ended a process; its exit code is that number below zero."""

_log = get_log()


class Collector:
    """One collector process, from `start` to `stop`. `run` is the one task that watches it and holds all others."""

    def __init__(self, command: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._command = COLLECTOR_COMMAND if command is None else tuple(command)
        self._environment = environment
        self.api_url: str | None = None
        """Ours, which it writes down for commands beside it."""
        self._child: Child[Snapshot] | None = None
        self._client: ControlClient | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._over = asyncio.Event()
        self._last = Snapshot(reasons=["The collector process is starting."])
        self._asked_at = self._answered_at = float("-inf")
        self._told_at: float | None = None
        """When the last answer came, of whichever process; None before the first."""
        self._action_turn = asyncio.Lock()
        self._question: asyncio.Task[Snapshot] | None = None
        self._telling: asyncio.Task[Snapshot] | None = None
        """The newest question about subscriptions that nobody has changed since."""
        self._telling_at = float("-inf")
        self.fault: str | None = None
        """Why there is no answer now; None while the collector answers."""
        self.exit_code: int | None = None
        """Of a collector that ended by itself, as a shell tells it."""
        self.stopping = False

    async def start(self, others: Mapping[str, socket.socket] | None = None) -> None:
        """Start the process, also after one that ended. Raises `OSError` when that cannot be done.

        `others` are sockets that it inherits beside ours, by their flags.
        """
        self._over.clear()
        self._tasks = self._question = self._telling = self.fault = self.exit_code = None
        self._answered_at = float("-inf")
        more = () if self.api_url is None else ("--api", self.api_url)
        self._last = structs.replace(self._last, ending=None)
        self._child = await start_child(
            (*self._command, *more),
            SNAPSHOTS,
            flag="--control-fd",
            environment=self._environment,
            stdout=None,
            others=others,
        )
        self._client = ControlClient(self._child.link)

    async def run(self, on_state: OnState | None = None) -> None:
        """Stay until the process has ended. `on_state` gets the state every few seconds (`api.announcing`)."""
        assert self._child is not None, "start() comes first"
        assert self._client is not None, "start() comes first"
        async with asyncio.TaskGroup() as self._tasks:
            announcing = self._tasks.create_task(announce(self.status, on_state)) if on_state else None
            code = await self._child.wait()
            self._last = await self._client.last_words() or self._last
            self._note_end(code)
            # Questions under way would wait for good if something the collector started held its end of the line.
            self._client.close()
            if announcing is not None:
                announcing.cancel()

    async def stop(self) -> None:
        """Hang up and wait for the process to end, by force if need be."""
        assert self._child is not None, "start() comes first"
        assert self._client is not None, "start() comes first"
        self.stopping = True
        self._client.close()
        await end_collector(self._child)

    async def status(self) -> Snapshot:
        """The state now, at most `FRESH_S` old; an unhealthy one with the last known numbers when nothing answers."""
        if self.fault is None and time.monotonic() - self._answered_at < FRESH_S:
            return self._last
        if self._over.is_set() or self._tasks is None:
            return self._without_answer()
        if self._question is None or self._question.done():
            self._question = self._tasks.create_task(self._ask(Request("status")))
            self._asked_at = time.monotonic()
        timeout_s = self._asked_at + ANSWER_TIMEOUT_S - time.monotonic()
        await asyncio.wait({self._question}, timeout=max(0.0, timeout_s))
        if not self._question.done():
            self.fault = SILENT
        return self._last if self.fault is None else self._without_answer()

    @property
    def last(self) -> Snapshot:
        """The newest answer, however old."""
        return self._last

    async def act(self, action: Action) -> Snapshot:
        """Carry out a start or stop and return the state after it. Raises `Transient` when nothing answers."""
        async with self._action_turn:
            begun = self._asked(Request(action))
            with suppress(TimeoutError):
                async with time_limit(ACTION_TIMEOUT_S):
                    # As in `_change_told`.
                    await asyncio.wait({begun})
                    while not self._over.is_set():
                        state = await self.status()
                        if self.fault is None and not state.acting:
                            return state
                        # As in `resubscribe`.
                        await asyncio.sleep(ASK_AGAIN_S)
        if self._over.is_set():
            raise Transient(self.fault or SILENT)
        raise Transient(f"The collector process has not carried out {action} within {ACTION_TIMEOUT_S:g} s.")

    async def subscriptions(self) -> ChangeStatus:
        """What is subscribed, and how far a change is. Raises `Transient` when nothing answers.

        Whoever asks meanwhile waits for the same answer, and no longer than the first.
        """
        now_s = time.monotonic()
        if self._telling is None or (self._telling.done() and now_s - self._telling_at >= SUBSCRIBED_FRESH_S):
            self._telling, self._telling_at = self._asked(Request("subscriptions")), now_s
        return await self._change_told(self._telling, self._telling_at + ANSWER_TIMEOUT_S - now_s)

    async def resubscribe(self, desired: DesiredSubscriptions) -> ChangeStatus:
        """Change it; returned when that is done or refused. Raises `Transient`; the change may still go on then."""
        status = await self._change_told(self._asked(Request("resubscribe", desired)), ACTION_TIMEOUT_S)
        number, deadline = status.number, time.monotonic() + CHANGE_TIMEOUT_S
        if status.refusal is not None:
            return status
        while status.busy and status.number == number:
            if time.monotonic() > deadline:
                raise Transient(f"The change goes on after {CHANGE_TIMEOUT_S:g} s; GET /subscriptions tells the rest.")
            # Another process's state has no event that we could wait for.
            await asyncio.sleep(ASK_AGAIN_S)
            status = await self._change_told(self._asked(Request("subscriptions")), ACTION_TIMEOUT_S)
        self._telling = None
        return status

    def _asked(self, request: Request) -> asyncio.Task[Snapshot]:
        """Raises `Transient` where nothing answers: what is asked then would be carried out at any time, or never."""
        if self._over.is_set() or self._tasks is None or self.fault is not None:
            raise Transient(self.fault or SILENT)
        return self._tasks.create_task(self._ask(request))

    async def _change_told(self, answer: asyncio.Task[Snapshot], timeout_s: float) -> ChangeStatus:
        # The answer is awaited elsewhere: a client that hangs up must not break the link in mid-answer.
        await asyncio.wait({answer}, timeout=max(0.0, timeout_s))
        if not answer.done() or self.fault is not None:
            raise Transient(self.fault or SILENT)
        return self._change_in(answer.result())

    def _change_in(self, answer: Snapshot) -> ChangeStatus:
        if answer.subscriptions is None:
            # Who asks next may hear it.
            self._telling = None
            raise Transient("The collector process does not tell its subscriptions.")
        return answer.subscriptions

    async def _ask(self, request: Request) -> Snapshot:
        assert self._client is not None, "start() comes first"
        try:
            self._last = await self._client.ask(request, timeout_s=UNANSWERED_S)
        except Transient as error:
            self.fault = self.fault or str(error)
        else:
            self.fault, self._answered_at = None, time.monotonic()
            self._told_at = self._answered_at
        return self._last

    def _note_end(self, returncode: int) -> None:
        code = returncode if returncode >= 0 else _KILLED_BY_SIGNAL - returncode
        ending = self._last.ending
        self.fault = f"The collector process has ended with exit code {code}" + (f": {ending}" if ending else ".")
        if not self.stopping:
            self.exit_code = code
            _log.error("collector_ended", exit_code=code)
        self._over.set()

    def _without_answer(self) -> Snapshot:
        silent_s = time.monotonic() - self._told_at if self._told_at is not None else 0.0
        return unanswered(self._last, self.fault, round(silent_s, 3))


async def end_collector(child: Child[Snapshot]) -> None:
    """Wait for a child that has been hung up on; one that does not stop in order is told ever more firmly."""
    for timeout_s, firmer in ((ORDERLY_STOP_S, signal.SIGTERM), (TERMINATED_STOP_S, signal.SIGKILL)):
        if await child.is_over(timeout_s):
            return
        _log.error("collector_does_not_stop", pid=child.pid, waited_s=timeout_s, signal=firmer.name)
        child.send_signal(firmer)
    await child.wait()
