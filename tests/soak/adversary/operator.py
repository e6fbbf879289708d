"""Who runs the service and does what `/health` advises: deletes keys that are not ours, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import re
from random import Random

from data_collector.model.errors import SinkUnavailable
from data_collector.sinks.redis.connection import ReplyError
from tests.soak.scene import Scene

LOOK_S = 1.0
LOOKS = (1, 1, 3, 20)
"""So many an advice stands before it is followed: what is wrong must be told all that time."""

ADVICE = re.compile(r"^(?:\w+: )?(\S+)(?: field \S+)? is not ours: .*", re.DOTALL)
KEYS = re.compile(r"\b(?:[a-z]+:)?(?:trades|stream|latest|gaps|quarantine|late|collector:\w+):[A-Z0-9/-]+")


class Operator:
    """One per scene."""

    def __init__(self, scene: Scene) -> None:
        self.deleted: list[str] = []
        """Keys, in turn, for whoever looks for the cause."""
        self._scene = scene
        self.is_prompt = False
        """Whether all that is advised twice is done at once."""
        self._random = Random(f"{scene.plan.seed}:operator")
        self._left: dict[tuple[str, ...], int] = {}
        """By the keys that an advice names, how many looks it may still stand."""

    async def watch(self) -> None:
        """Follow every advice, sooner or later, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once."""
        assert self._scene.service is not None, "it is a service that is run"
        try:
            reasons = await self._scene.service.reasons()
        except (OSError, ValueError):
            return
        advised = {tuple(sorted(set(KEYS.findall(reason)))) for reason in reasons if ADVICE.match(reason)}
        self._left = {keys: self._left_of(keys) for keys in sorted(advised)}
        for keys, left in self._left.items():
            if left <= 0 and keys:
                with contextlib.suppress(SinkUnavailable, ReplyError):
                    await self._scene.pair.primary.ask("DEL", *keys)
                    self.deleted += keys

    def _left_of(self, keys: tuple[str, ...]) -> int:
        if keys not in self._left:
            return 1 if self.is_prompt else self._random.choice(LOOKS)
        return 0 if self.is_prompt else self._left[keys] - 1
