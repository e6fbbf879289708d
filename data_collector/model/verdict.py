"""What the gate says of a record that breaks a rule; None stands for one that breaks none."""

from __future__ import annotations

from msgspec import Struct


class Verdict(Struct, frozen=True):
    """Ids of the broken rules by severity. A record may pass with warnings."""

    critical: tuple[str, ...] = ()
    """Any of these refuses the record."""
    warnings: tuple[str, ...] = ()
    """These mark it."""
    infos: tuple[str, ...] = ()
    """These are counted."""
    readable: bool = True
    """False when a price or quantity is no decimal number: such a record cannot be written as JSON."""

    @property
    def rules(self) -> tuple[str, ...]:
        """All of them."""
        return self.critical + self.warnings + self.infos
