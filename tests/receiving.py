"""Frames into an intake, as a socket gives them on."""

from __future__ import annotations

from data_collector.model.errors import BadFrame
from data_collector.pipeline.connections.websocket import Control, Unreadable
from data_collector.pipeline.sequence.intake import Intake
from data_collector.venues.binance.codec import BinanceCodec

CODEC = BinanceCodec()


def receive(intake: Intake, frame: bytes, received_ns: int = 1) -> Control | BadFrame | None:
    """Give a text frame to the intake; what concerns its connection is returned."""
    try:
        decoded = CODEC.decode(memoryview(frame), received_ns)
    except BadFrame as error:
        intake.receive(Unreadable(frame, error))
        return error
    if isinstance(decoded, Control):
        return decoded
    intake.receive(decoded)
    return None
