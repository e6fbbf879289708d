"""What the store lacks of trades: it has lost it, could not take it, or somebody else writes it.

Life cycle: the outlet has one book. It opens a debt when the store falls behind or memory is full, and from then on new
runs of the symbol go to the spool alone; the refill brings everything from `due_id` on, in order, until the store
has caught up (`pipeline.repair.refill`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from data_collector.model.gaps import Gap
from data_collector.pipeline.gaps.attempts import Attempts
from data_collector.pipeline.gaps.left_out import LeftOut

RETRY_S = 1.0
"""Between two attempts that brought nothing."""


class Debt:
    """Of one symbol."""

    __slots__ = (
        "after_id", "attempts", "begins", "due_id", "epoch", "gaps", "left_out", "probes", "since_s", "skips",
        "stands_by", "symbol", "wiped",
    )  # fmt: skip

    def __init__(self, symbol: str, due_id: int, now_s: float, *, epoch: int = 0, wiped: bool = False) -> None:
        self.symbol = symbol
        self.epoch = epoch
        """What is brought now; those after it come behind it."""
        self.after_id = -1
        """The last id of the epoch before, as the store has it; -1 where it has none."""
        self.due_id = due_id
        """The store must get this id next."""
        self.wiped = wiped
        """The store has nothing any more; from where on it is filled is still to be found out."""
        self.stands_by = False
        """Somebody else writes it: nothing is brought until he stops."""
        self.probes = False
        """Nothing could be stored: one run is brought, to see whether it can now."""
        self.begins = False
        """The next run that is brought may begin a stream."""
        self.skips = True
        """Only the newer part of what the spool lacks is asked for."""
        self.gaps: list[Gap] = []
        """What was passed over since the newest run that was brought."""
        self.left_out = LeftOut()
        """Of what the exchange is asked for."""
        self.since_s = now_s
        self.attempts = Attempts(now_s, first_s=RETRY_S, cap_s=RETRY_S)


class Debts:
    """Of all symbols, at most one each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._debts: dict[str, Debt] = {}
        self.due = asyncio.Event()
        """Set while there is one to pay."""

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._debts

    def get(self, symbol: str) -> Debt | None:
        """What the store lacks of the symbol; None while what waits follows what it has."""
        return self._debts.get(symbol)

    def open(self, symbol: str, due_id: int, *, epoch: int = 0, wiped: bool = False) -> Debt:
        """The store wants this id of this epoch next; a debt that there was is over."""
        debt = self._debts[symbol] = Debt(symbol, due_id, self._clock(), epoch=epoch, wiped=wiped)
        self.due.set()
        return debt

    def stand_by(self, symbol: str, due_id: int, *, epoch: int, wiped: bool) -> None:
        """Somebody else writes, and the store gets this id next."""
        self.open(symbol, due_id, epoch=epoch, wiped=wiped).stands_by = True
        self._note_payable()

    def take_over(self, debt: Debt) -> None:
        """Nobody else writes any more: it is to be paid."""
        now_s = self._clock()
        debt.stands_by = False
        debt.since_s = now_s
        debt.attempts.succeed(now_s)
        self.due.set()

    def close(self, symbol: str) -> None:
        """The store has caught up, or nobody waits for it to."""
        self._debts.pop(symbol, None)
        self._note_payable()

    def payable(self) -> list[Debt]:
        """Those that nobody else pays."""
        return [debt for debt in self._debts.values() if not debt.stands_by]

    def _note_payable(self) -> None:
        if not self.payable():
            self.due.clear()
