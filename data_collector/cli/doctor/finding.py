"""What one check of `doctor` found."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["ok", "warn", "fail"]


class Finding(Struct, frozen=True):
    """One row of the table. `warn`: it works, and something should be known. `fail`: the service would not work."""

    check: str
    state: State
    seen: str
    cure: str = ""
    """What to do about it; empty when it is well."""
