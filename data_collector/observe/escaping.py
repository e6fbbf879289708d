"""Text from elsewhere, made harmless for terminals and logs."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What could start a new line, steer a terminal or turn the direction of writing."""


def escaped(text: str) -> str:
    """The text with every control character made visible, so that nobody can steer a terminal or fake a line."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
