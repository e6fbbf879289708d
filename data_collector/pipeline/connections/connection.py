"""An open connection of a line.

Life cycle: the line makes one when it has dialled, and forgets it when the socket has ended.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from data_collector.pipeline.connections.conversation import Conversation
from data_collector.pipeline.connections.websocket import WebSocket

ROLLOVER_EARLY = (0.94, 0.98)
"""At which part of the connection's allowed age the next one is opened (hours 22.5 to 23.5 of 24), at random."""

OVERDUE_PART = 0.99
"""A connection of that age (23:45 of 24 hours) without a successor is an error."""

SUBSCRIPTIONS_S = (180.0, 300.0)
"""How often the exchange is asked what is subscribed, at random."""


class Connection:
    """When it began, what it was asked for, and when it is due for what."""

    def __init__(self, socket: WebSocket, conversation: Conversation, max_age_s: float, streams: Sequence[str]) -> None:
        self.socket = socket
        self.conversation = conversation
        self.streams = streams
        """What it was asked for."""
        self.changing = asyncio.Lock()
        self.began_s = time.monotonic()
        self.began_at = datetime.now(UTC)
        self.roll_over_s = self.began_s + max_age_s * random.uniform(*ROLLOVER_EARLY)
        self.overdue_s = self.began_s + max_age_s * OVERDUE_PART
        self.put_check_off()
        self.ends_soon = False
        """The exchange has announced it."""

    @property
    def served_s(self) -> float:
        """For how long it has been open."""
        return time.monotonic() - self.began_s

    def put_check_off(self) -> None:
        """Ask the exchange what is subscribed again, some time later."""
        self.check_s = time.monotonic() + random.uniform(*SUBSCRIPTIONS_S)
