"""What an exchange says of its own accord, in the log: told, and never so often that it fills a disk."""

from __future__ import annotations

import structlog

from data_collector.pipeline.connections.governor import Governor

WORDS_PER_MINUTE = 10


class Words:
    """Of one line."""

    def __init__(self, line: str) -> None:
        self._log = structlog.get_logger().bind(line=line)
        self._places = Governor(WORDS_PER_MINUTE, 60.0)
        self.left_out = 0
        """Since the last one that was told."""

    def say(self, event: str, **words: str | int | None) -> None:
        """Tell it, with how many were left out before; or leave it out."""
        if self._places.try_now():
            self._log.warning(event, **words, left_out=self.left_out)
            self.left_out = 0
        else:
            self.left_out += 1
