"""Connections of then and of now: which of the clients hears what an exchange said on a recorded connection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from data_collector.model.errors import BadFrame
from data_collector.model.venue import Acknowledged, Codec, Listed, Pulse, Refused
from data_collector.simulator.control.faults import RefuseStreams
from data_collector.simulator.speaker import Form, StreamSpeaker
from data_collector.simulator.streams.connection import StreamConnection

ANSWERS = (Acknowledged, Listed, Pulse, Refused)
"""Clients get answers to what they ask themselves."""


class Client(StreamConnection):
    """A client of now: it is told what is in the recording, and nothing else of any stream."""

    is_leaving = False
    """It has been told to go, or cut off."""

    def lose(self, reason: str) -> None:
        """End it as the one of then ended, if the exchange ended that; it gets all that it was sent."""
        code = reason.removeprefix("close ")
        if code != reason and code.isdigit():
            self.close(int(code), "")
        elif reason == "reset":
            self.hang_up()
        else:
            return
        self.is_leaving = True

    def tell(self, stream: str, payloads: Sequence[bytes]) -> None:
        """A snapshot of a market that is not there."""


class Then:
    """A recorded connection; as a `Peer` it learns from what was said on it what it was subscribed to."""

    def __init__(self, speaker: StreamSpeaker, codec: Codec) -> None:
        self.form = Form()
        self.streams: dict[str, None] = {}
        self.client: Client | None = None
        """Who hears it now."""
        self.is_unheard = False
        """It has been waited for somebody for long enough."""
        self._speaker = speaker
        self._decode = codec.session().decode

    def hear(self, frame: bytes) -> None:
        """What the collector said then."""
        self._speaker.hear(frame, self)

    def is_told(self, frame: bytes, received_ns: int) -> bool:
        """Whether a frame is for those who listen, and not an answer to what was asked then."""
        try:
            return not isinstance(self._decode(frame, received_ns), ANSWERS)
        except BadFrame:
            return True

    def is_served_by(self, client: StreamConnection) -> bool:
        """Whether a client has all its streams."""
        return client.streams.keys() >= self.streams.keys()

    def choose(self, clients: Iterable[StreamConnection], taken: Collection[Client], *, shares: bool) -> Client | None:
        """Who is to hear it: who has its streams, and hears no other one; `shares`: or also hears another one."""
        here = [each for each in clients if isinstance(each, Client) and each.streams and not each.is_leaving]
        able = [each for each in here if self.is_served_by(each)]
        free = [each for each in able if each not in taken]
        same = [each for each in free if each.streams.keys() == self.streams.keys()]
        return next(iter([*same, *free, *(able if shares else [])]), None)

    # What a speaker asks of a peer.

    def has_room(self, streams: Sequence[str]) -> bool:
        """Then it had."""
        return True

    def subscribe(self, streams: Sequence[str]) -> None:
        """It asked for these."""
        self.streams |= dict.fromkeys(streams)

    def drop_stream(self, stream: str) -> None:
        """It gave this one up."""
        self.streams.pop(stream, None)

    def refusal(self, stream: str) -> RefuseStreams | None:
        """None is made here."""
        return None

    def send_text(self, payload: bytes) -> None:
        """It has had its answers."""

    def tell(self, stream: str, payloads: Sequence[bytes]) -> None:
        """It has had its snapshots."""

    def close(self, code: int, reason: str) -> None:
        """How it ended is in the recording."""
