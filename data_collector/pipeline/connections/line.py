"""One connection to the exchange, kept up for ever.

Life cycle: the service makes lines with the streams that each carries and runs each in a task; cancelling the task
closes the connection. A line dials (through the shared governor), subscribes in paced messages, checks what the
exchange says is subscribed, now and every few minutes, and then only watches: for silence, and for the announced or
regular end of the connection, which it forestalls by opening the next one first (`pipeline.connections.overlap`). It
owns the back-off. What a socket has decoded goes straight into `Intake.receive`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog
from msgspec import Struct

from data_collector.model.backoff import Backoff
from data_collector.model.errors import VenueUnreachable
from data_collector.model.keys import Key
from data_collector.model.status import ConnectionStatus
from data_collector.model.venue import Closing, Codec, Pulse, Refused, StreamLimits
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.connection import Connection
from data_collector.pipeline.connections.conversation import Conversation
from data_collector.pipeline.connections.governor import Governor
from data_collector.pipeline.connections.keeping import open_kept
from data_collector.pipeline.connections.overlap import Overlap, Result
from data_collector.pipeline.connections.refused_streams import RefusedStream, RefusedStreams
from data_collector.pipeline.connections.transport import Address, Connect, end_label, failure_label
from data_collector.pipeline.connections.websocket import Control, Receive
from data_collector.pipeline.connections.words import Words
from data_collector.recording.recorder import Recorder

SILENCE_MARGIN_S = 5.0
"""On top of the ping interval, when our own ping is sent: a peer that answers nothing for that long is dead."""

EARLY_PER_MINUTE = 10
"""Connections that are replaced because the exchange says that they end soon."""

POLICY_FACTOR = 4.0
"""After a close for a broken limit (1008) the wait is so much longer: who is cut again and again gets banned."""


class LineContext(Struct, frozen=True):
    """What all lines share."""

    address: Address
    codec: Codec
    limits: StreamLimits
    receive: Receive
    due: Callable[[str], int]
    """The trade id that is due of a symbol, -1 before the first."""
    dials: Governor
    connect: Connect
    counters: Counters
    recorder: Recorder | None = None
    """Keeps what is said."""


class Line:
    """Carries a set of streams, which may change while it does."""

    def __init__(
        self, name: str, keys: Sequence[Key], context: LineContext, *, rollover_lock: asyncio.Lock | None = None,
        first_dial_in_s: float = 0.0,
    ) -> None:  # fmt: skip
        """`rollover_lock` is shared with the twin, so that the two are never rolled over at once."""
        self.name = name
        self._context = context
        self._refused = RefusedStreams()
        self._use(keys)
        self._counters = context.counters
        self._rollover_lock = rollover_lock or asyncio.Lock()
        self._first_dial_in_s = first_dial_in_s
        self._backoff = Backoff()
        self._retry_s = 0.0
        self._early = Governor(EARLY_PER_MINUTE, 60.0)
        """Connections that were replaced because they are announced to end."""
        self._words = Words(name)
        self._log = structlog.get_logger().bind(line=name)
        self._live: Connection | None = None
        self._following: Connection | None = None
        self.complete = asyncio.Event()
        """Set while there is a connection that has all streams."""
        self.lag_s = 0.0
        """By how much its messages come later than they did, when that is too much."""
        self._down_logged = False
        self._down_since_s = time.monotonic()
        self._state = ConnectionStatus(line=name, state="connecting", streams=len(self.streams))

    @property
    def status(self) -> ConnectionStatus:
        """For `/status`."""
        state, live = self._state, self._live
        state.connected_since = live.began_at.isoformat() if live is not None else None
        if live is not None and live.socket.last_message_ns:
            state.last_message_seconds_ago = round((time.time_ns() - live.socket.last_message_ns) / 1e9, 3)
        return state

    @property
    def down_s(self) -> float:
        """How long there has been no connection; 0 while there is one."""
        return 0.0 if self._live is not None else time.monotonic() - self._down_since_s

    @property
    def connected_since(self) -> datetime | None:
        """When the connection began; None while there is none."""
        return None if self._live is None else self._live.began_at

    @property
    def last_message_ns(self) -> int:
        """Wall clock of the connection's newest message; 0 before the first."""
        return 0 if self._live is None else self._live.socket.last_message_ns

    @property
    def refused(self) -> Mapping[Key, RefusedStream]:
        """Its streams that the exchange will not give, and that it goes without."""
        return {self._keys[stream]: each for stream, each in self._refused.found.items()}

    def accept(self, key: Key) -> None:
        """The stream speaks, whatever the exchange has said of it."""
        self._refused.accept([self._context.codec.stream_name(key)])

    def sample(self, take: Receive) -> None:
        """Show the next message to `take` too."""
        if self._live is not None:
            self._live.socket.sample(take)

    def replace(self, reason: str) -> None:
        """Give the connection up; another is made. `reason` is the label that it is counted with."""
        if self._live is not None:
            self._live.socket.close(reason)

    def renew(self) -> None:
        """Roll over to another connection as soon as possible."""
        if self._live is not None:
            self._live.ends_soon = True

    async def carry(self, keys: Sequence[Key]) -> None:
        """Carry these streams from now on, also after a reconnect: the others stay untouched.

        Returns when the exchange has said so. A connection that cannot be changed is replaced (make before break),
        and one that is being made is made with the new streams.
        """
        self._use(keys)
        self._state.streams = len(self.streams)
        self._note_complete()
        for connection in (self._live, self._following):
            if connection is not None:
                await self._change(connection)

    async def resubscribe(self, streams: Sequence[str]) -> None:
        """Give streams of this line up and ask for them again."""
        if self._live is None:
            return
        socket, conversation = self._live.socket, self._live.conversation
        try:
            # What the exchange has dropped without a word cannot be given up.
            with suppress(VenueUnreachable):
                await conversation.unsubscribe(socket, streams)
            # Some may have been given up for good meanwhile.
            await conversation.subscribe(socket, [stream for stream in streams if stream in self._keys])
        except VenueUnreachable as error:
            self._log.warning("resubscription_failed", streams=len(streams), reason=str(error))

    async def run(self) -> None:
        """Until cancelled."""
        # Not before the twin: both dialling at once could both meet the same bad moment.
        await asyncio.sleep(self._first_dial_in_s)
        try:
            while True:
                live = await self._connect_at_last()
                while await self._watch(live):
                    live = await self._roll_over(live)
                await self._pause(live)
        finally:
            live_now, self._live = self._live, None
            self._state.state = "stopped"
            if live_now is not None:
                live_now.socket.close("stop")

    async def _connect_at_last(self) -> Connection:
        """Try until it works, ever more slowly."""
        while True:
            self._state.state = "connecting"
            try:
                live = await self._connect(self._context.receive)
            except VenueUnreachable as error:
                delay_s = self._note_failure(error)
                self._state.state = "waiting"
                await asyncio.sleep(delay_s)
                continue
            self._take_over(live)
            return live

    def _take_over(self, live: Connection) -> None:
        self._live, self._following = live, None
        self._state.state = "connected"
        self._note_complete()
        self._down_logged = False
        ends_s = live.socket.certificate_ends_s
        if ends_s is not None:
            self._counters.set("data_collector_certificate_expires_seconds", ends_s)
        self._log.info("line_connected", url=self._context.address.url, streams=len(self.streams))
        self._log_refused()

    async def _connect(self, receive: Receive) -> Connection:
        """One try to connect and subscribe. Raises `VenueUnreachable`."""
        context = self._context
        await context.dials.turn()
        conversation = Conversation(context.codec, self._counters, self._refused)
        socket = await open_kept(
            context.recorder, self.name, context.address, context.codec.session().decode, receive,
            partial(self._on_control, conversation),
            messages_per_s=context.limits.control_messages_per_s, connect=context.connect,
        )  # fmt: skip
        if context.limits.keepalive_s is not None:
            socket.keep_alive(context.limits.keepalive_s, conversation.keepalive)
        connection = Connection(socket, conversation, context.limits.max_age_s, self.streams)
        try:
            await conversation.subscribe_surely(socket, connection.streams)
            while connection.streams != self.streams:
                # They were changed meanwhile.
                old, connection.streams = connection.streams, self.streams
                await conversation.change(socket, old, connection.streams)
        except BaseException:
            socket.close("not subscribed")
            raise
        return connection

    async def _change(self, connection: Connection) -> None:
        """Bring a connection up to what is wanted now."""
        async with connection.changing:
            while connection.streams != self.streams and not connection.socket.ended.done():
                wanted = self.streams
                try:
                    await connection.conversation.change(connection.socket, connection.streams, wanted)
                except VenueUnreachable as error:
                    self._log.warning("subscriptions_unchanged", reason=str(error))
                    connection.ends_soon = True
                    return
                connection.streams = wanted
        self._note_complete()
        self._log_refused()

    def _note_failure(self, error: VenueUnreachable) -> float:
        """How long to wait before the next try."""
        self._counters.add("data_collector_connect_failures_total", reason=failure_label(error))
        self._state.last_error = str(error)
        if not self._down_logged:
            self._down_logged = True
            self._log.warning("line_down", url=self._context.address.url, reason=str(error))
        return self._backoff.next_delay_s(retry_after_s=error.retry_after_s)

    async def _pause(self, lost: Connection) -> None:
        self._state.state = "waiting"
        refused = lost.socket.end_reason() == "close 1008"
        if refused:
            self._log.error("line_cut_by_policy", advice="a limit of the exchange was broken; it bans who goes on")
        factor = POLICY_FACTOR if refused else 1.0
        await asyncio.sleep(self._backoff.next_delay_s(served_s=lost.served_s, factor=factor))

    async def _roll_over(self, old: Connection) -> Connection:
        """Make before break: the connection that goes on, which is the old one when there is no other yet."""
        async with self._rollover_lock:
            context = self._context
            traded = [
                key.symbol
                for stream, key in self._keys.items()
                if key.channel == "trade" and stream not in self._refused.found
            ]
            overlap = Overlap(traded, context.receive, context.due)
            try:
                self._following = following = await self._connect(overlap.receive)
            except VenueUnreachable as error:
                self._retry_s = time.monotonic() + self._note_failure(error)
                self._count_rollover("failed")
                if time.monotonic() > old.overdue_s:
                    self._log.error("rollover_overdue", reason=str(error))
                return old
            try:
                result = await overlap.finish(old, following, context.limits.max_age_s)
            except BaseException:
                following.socket.close("stop")
                raise
            finally:
                self._following = None
            self._count_rollover(result)
            if result == "failed":
                self._retry_s = time.monotonic() + self._backoff.next_delay_s()
                return old
            following.socket.hand_to(context.receive)
            if old.ends_soon:
                # An exchange may announce the end of each connection anew, as soon as it is there.
                self._early.try_now()
            self._take_over(following)
            old.socket.close("rollover")
            return following

    def _count_rollover(self, result: Result) -> None:
        self._counters.add("data_collector_rollovers_total", result=result)
        self._log.info("line_rolled_over", result=result)

    async def _watch(self, live: Connection) -> bool:
        """Until the connection has ended (False) or the next one is due beside it (True)."""
        heard_s, asked = time.monotonic(), False
        quiet_max_s = self._context.limits.ping_interval_s
        silence_max_s = quiet_max_s + SILENCE_MARGIN_S
        socket = live.socket
        while True:
            now = time.monotonic()
            early_s = now + self._early.next_in_s() if live.ends_soon else live.roll_over_s
            due_s = max(min(early_s, live.roll_over_s), self._retry_s)
            if now >= due_s and not self._rollover_lock.locked() and not socket.ended.done():
                return True
            if socket.heard:
                socket.heard, asked = False, False
                heard_s = now
            elif now - heard_s >= silence_max_s:
                self._counters.add("data_collector_watchdogs_total", kind="connection")
                socket.close("silent")
            elif not asked and now - heard_s >= quiet_max_s:
                # Some exchanges ping seldom, and a quiet symbol says nothing: its answer tells it from a dead peer.
                asked = socket.ping()
            if now >= live.check_s:
                live.put_check_off()
                await self._mend_subscriptions(live)
            await self._ask_for_refused(live)
            # Half a second, so that an announced shutdown is acted on at once.
            reason = await socket.wait_ended(min(0.5, quiet_max_s, max(0.05, due_s - now)))
            if reason is not None:
                self._lost(live, reason)
                return False

    async def _mend_subscriptions(self, live: Connection) -> None:
        """Ask again for streams that the exchange has dropped without a word."""
        try:
            missing = await live.conversation.missing(live.socket, self.streams)
            if missing:
                self._counters.add("data_collector_subscription_drift_total", len(missing))
                self._log.warning("streams_dropped_by_exchange", streams=len(missing), example=min(missing))
                await live.conversation.subscribe(live.socket, missing)
        except VenueUnreachable as error:
            self._log.warning("subscriptions_unchecked", reason=str(error))

    async def _ask_for_refused(self, live: Connection) -> None:
        """Now and then; most symbols that are refused are misspelt, but some are listed later."""
        before = set(self._refused.found)
        try:
            await live.conversation.ask_again(live.socket)
        except VenueUnreachable as error:
            self._log.warning("refused_streams_unasked", reason=str(error))
        accepted = before.difference(self._refused.found)
        if accepted:
            self._log.info("streams_accepted", streams=len(accepted), example=min(accepted))

    def _note_complete(self) -> None:
        if self._live is not None and self._live.streams == self.streams:
            self.complete.set()
        else:
            self.complete.clear()

    def _lost(self, live: Connection, reason: str) -> None:
        self._live = None
        self._refused.blame()
        self._note_complete()
        self._down_since_s = time.monotonic()
        self._retry_s = 0.0
        self._state.reconnects += 1
        self._state.last_error = reason
        self._counters.add("data_collector_disconnects_total", reason=end_label(reason))
        self._log.warning("line_lost", reason=reason, served_s=round(live.served_s, 1))

    def _log_refused(self) -> None:
        for stream, refused in list(self._refused.found.items())[:1]:
            self._log.warning("streams_refused", streams=len(self._refused.found), example=stream, reason=refused.words)

    def _use(self, keys: Sequence[Key]) -> None:
        self._keys = {self._context.codec.stream_name(key): key for key in keys}
        self.streams = tuple(self._keys)
        self._refused.keep(self._keys)

    def _on_control(self, conversation: Conversation, control: Control) -> None:
        if isinstance(control, Pulse):
            return
        if isinstance(control, Closing):
            self._counters.add("data_collector_server_shutdowns_total")
            self._words.say("exchange_shutdown_announced")
            if self._live is not None:
                self._live.ends_soon = True
        elif not conversation.take(control) and isinstance(control, Refused):
            self._words.say("exchange_error", message=control.error, code=control.code)
