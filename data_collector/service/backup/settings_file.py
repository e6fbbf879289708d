"""The settings that a backup was made with, as a file of variables: for people, nothing reads it."""

from __future__ import annotations

from collections.abc import Sequence

from data_collector.settings import SECRETS, Settings
from data_collector.settings.fields import FIELDS, OF_EXCHANGE, variable_of

_HEAD = "# The settings of `data-collector backup`, without secrets. Nothing reads this file: copy what is wanted.\n"


def settings_text(every: Sequence[Settings]) -> str:
    """What was given of all of them; `every` has those of each exchange."""
    first = every[0]
    lines = {"EXCHANGES": f"EXCHANGES={','.join(first.exchanges)}"}
    for settings in every:
        for name in FIELDS:
            variable = variable_of(name, settings.exchange)
            if name not in settings.given or (settings is not first and name not in OF_EXCHANGE):
                continue
            value: object = getattr(settings, name)
            text = f"# {variable} is a secret, and not here" if name in SECRETS else f"{variable}={_text(value)}"
            lines.setdefault(variable, text)
    return _HEAD + "\n".join(lines.values()) + "\n"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
