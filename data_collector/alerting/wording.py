"""An alert's sentence: for people here, and as the template that Prometheus fills in the same way."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

WHO: Final = "{{ $labels.instance }}{{ with $labels.exchange }} ({{ . }}){{ end }}"
"""Of several exchanges the alert names the one."""

_PLACE: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")


def template_of(summary: str) -> str:
    """For a file of rules."""

    def written(found: re.Match[str]) -> str:
        name, form = found.groups()
        if name == "who":
            return WHO
        if name != "value":
            return f"{{{{ $labels.{name} }}}}"
        return "{{ $value }}" if form is None else f"{{{{ $value | {_FORMS[form][0]} }}}}{_FORMS[form][2]}"

    return _PLACE.sub(written, summary)


def told(summary: str, labels: Mapping[str, str], value: float) -> str:
    """The sentence about one set of labels."""

    def written(found: re.Match[str]) -> str:
        name, form = found.groups()
        if name == "who":
            exchange = labels.get("exchange")
            return labels.get("instance", "") + (f" ({exchange})" if exchange else "")
        if name != "value":
            return labels.get(name, "")
        return f"{value:.15g}" if form is None else _FORMS[form][1](value) + _FORMS[form][2]

    return _PLACE.sub(written, summary)


def duration(seconds: float) -> str:
    """`8m 45s`, as Prometheus writes it."""
    if not math.isfinite(seconds):
        return f"{seconds:g}"
    sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
    if left < 1:
        scaled = (left, "") if not left else (left * 1e3, "m") if left >= 1e-3 else (left * 1e6, "u")
        return f"{sign}{scaled[0]:.4g}{scaled[1]}s"
    if left < 60:
        return f"{sign}{left:.4g}s"
    minutes, rest = divmod(int(left), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    while not parts[0][0]:
        del parts[0]
    return sign + " ".join(f"{number}{unit}" for number, unit in parts)


def _powers_of_1024(number: float) -> str:
    prefix = ""
    for each in ("ki", "Mi", "Gi", "Ti", "Pi"):
        if not 1024 <= abs(number) < math.inf:
            break
        prefix, number = each, number / 1024
    return f"{number:.4g}{prefix}"


def _percentage(share: float) -> str:
    return f"{100 * share:.4g}%"


_FORMS: Final[Mapping[str, tuple[str, Callable[[float], str], str]]] = {
    "duration": ("humanizeDuration", duration, ""),
    "bytes": ("humanize1024", _powers_of_1024, "B"),
    "percentage": ("humanizePercentage", _percentage, ""),
}
"""By the word after the colon: what Prometheus calls it, what it does, and what follows."""
