"""Connections without a network."""

from __future__ import annotations

from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.connection import Connection
from data_collector.pipeline.connections.conversation import Conversation
from data_collector.pipeline.connections.refused_streams import RefusedStreams
from data_collector.pipeline.connections.websocket import Received, WebSocket
from data_collector.venues.binance.codec import BinanceCodec

CODEC = BinanceCodec()


def take(received: Received) -> None:
    """Where messages go."""


def connected() -> Connection:
    """A connection that nothing was asked of."""
    conversation = Conversation(CODEC, Counters(), RefusedStreams())
    return Connection(WebSocket(CODEC.decode, take, lambda _: None, 4), conversation, 86_400.0, ())
