"""What `doctor` asks the exchange's streams: do they open, take a subscription, and answer what keeps them open."""

from __future__ import annotations

import time

import aiohttp
from msgspec import Struct

from data_collector.cli.doctor.finding import Finding
from data_collector.model.errors import BadFrame
from data_collector.model.keys import Key
from data_collector.model.venue import Acknowledged, Codec, Event, Listed, Pulse, Refused, Venue
from data_collector.observe.escaping import escaped
from data_collector.outgoing import UNREACHED, open_session, reason_of
from data_collector.settings import Settings
from data_collector.settings.fields import variable_of
from data_collector.time_limit import time_limit

TIMEOUT_S = 10.0
MESSAGE_BYTES_MAX = 1024 * 1024


def network_cure(settings: Settings) -> str:
    """For an exchange that does not answer as it should."""
    names = " and ".join(variable_of(field, settings.exchange) for field in ("rest_url", "ws_url"))
    return f"Check the network, {names}. `make demo` needs no network."


class _Conversation(Struct):
    """One connection, and how far it has come."""

    socket: aiohttp.ClientWebSocketResponse
    codec: Codec

    async def say(self, frame: bytes) -> None:
        await self.socket.send_str(frame.decode())

    async def hear(self, *kinds: type[Event]) -> Event | None:
        """The next of these kinds; None when the other end hangs up."""
        async for message in self.socket:
            try:
                event = self.codec.decode(str(message.data).encode(), time.time_ns())
            except BadFrame:
                continue
            if isinstance(event, kinds):
                return event
        return None


async def check_streams(settings: Settings, venue: Venue) -> Finding:
    """One finding: how far a conversation comes."""
    url, cure = settings.ws_url + venue.stream_path, network_cure(settings)
    reached = f"{settings.ws_url} does not answer"
    try:
        async with (
            time_limit(TIMEOUT_S),
            open_session(url, use_proxy=settings.use_proxy) as session,
            session.ws_connect(url, max_msg_size=MESSAGE_BYTES_MAX, autoping=True) as socket,
        ):
            reached = f"{settings.ws_url} opens a WebSocket, and answers no subscription"
            return await _judge(_Conversation(socket, venue.codec.session()), settings, venue)
    except aiohttp.WSServerHandshakeError as error:
        cure = venue.hint_451 if error.status == 451 else cure
        return Finding("streams", "fail", f"{settings.ws_url} answers HTTP {error.status}", cure)
    except TimeoutError:
        return Finding("streams", "fail", f"{reached} in {TIMEOUT_S:g} s", cure)
    except UNREACHED as error:
        seen = f"{settings.ws_url} cannot be reached ({escaped(reason_of(error))})"
        return Finding("streams", "fail", seen, cure)


async def _judge(conversation: _Conversation, settings: Settings, venue: Venue) -> Finding:
    codec, symbol = conversation.codec, settings.symbols[0]
    (request,) = codec.requests([codec.stream_name(Key("trade", symbol))], 1, adds=True)
    asked_s = time.monotonic()
    await conversation.say(request.frame)
    answer = await conversation.hear(Acknowledged, Listed, Refused)
    took_ms = (time.monotonic() - asked_s) * 1000
    keepalive = codec.keepalive(2)
    if isinstance(answer, Refused):
        seen = f"{settings.ws_url} refuses the trades of {escaped(symbol)}: {escaped(answer.error)}"
        return Finding("streams", "fail", seen, f"Correct {variable_of('symbols', venue.name)}.")
    if answer is not None and keepalive is not None:
        await conversation.say(keepalive)
        answer = await conversation.hear(Pulse)
    if answer is None:
        seen = f"{settings.ws_url} hangs up on a subscription (code {conversation.socket.close_code})"
        return Finding("streams", "fail", seen, network_cure(settings))
    kept = ", and what keeps it open" if keepalive is not None else ""
    return Finding("streams", "ok", f"{settings.ws_url} answers a subscription in {took_ms:.0f} ms{kept}")
