"""What is known and what waits of one symbol."""

from __future__ import annotations

from data_collector.model.batch import KlineUpdate, NewestUpdate, Refusal, TradeRun
from data_collector.model.gaps import Gap
from data_collector.model.keys import Collected
from data_collector.model.records import Trade
from data_collector.model.wire import json_text
from data_collector.pipeline.arbiter import TradeOrder
from data_collector.pipeline.minutes import MinuteVolumes
from data_collector.pipeline.spilled import Spilled

RECENT_MAX = 1024
RECENT_MIN = 16
RECENT_TOTAL_MAX = 65_536
"""Some 30 MB for all symbols together."""


STRANGERS_MAX = 100
"""So many trades in a row from far behind the cursor, and the ids are taken to have begun anew."""


def recent_of(symbols: int) -> int:
    """How many trades each lane remembers, when there are so many symbols."""
    share = max(RECENT_MIN, min(RECENT_MAX, RECENT_TOTAL_MAX // max(symbols, 1)))
    return 1 << (share.bit_length() - 1)


class OpenGap:
    """Trade ids that are missing before what is held back."""

    __slots__ = (
        "disproved", "disproved_s", "first_id", "last_id", "opened_s", "progress_s", "retry_s", "tries",
    )  # fmt: skip

    def __init__(self, first_id: int, last_id: int, now_s: float) -> None:
        self.first_id = first_id
        """The first that the ledger has not been told of as healed."""
        self.last_id = last_id
        """The last that is missing before the first one held."""
        self.opened_s = now_s
        self.progress_s = now_s
        """When it last became smaller."""
        self.retry_s = 0.0
        """Ask for it again no sooner."""
        self.tries = 0
        """Failed ones, since the last progress."""
        self.disproved = 0
        """How often, without another answer between, the exchange's REST side ended before what is held back."""
        self.disproved_s = 0.0
        """Since when."""


class Debt:
    """What the store lacks of a symbol and has to be brought from the retention or the exchange."""

    __slots__ = ("begins", "due_id", "gaps", "progress_s", "retry_s", "since_s", "skips", "stands_by", "wiped")

    def __init__(self, due_id: int, now_s: float, *, wiped: bool = False) -> None:
        self.due_id = due_id
        """The store must get this id next."""
        self.wiped = wiped
        """The store has nothing any more; from where on it is filled is still to be found out."""
        self.stands_by = False
        """Somebody else writes it: nothing is brought until he stops."""
        self.begins = False
        """The next run that is brought may begin a stream."""
        self.skips = True
        """Only the newer part of what the retention lacks is asked for."""
        self.gaps: list[Gap] = []
        """What was passed over since the newest run that was brought."""
        self.since_s = now_s
        self.progress_s = now_s
        """When something was last brought."""
        self.retry_s = 0.0
        """Bring more no sooner."""


class Lane:
    """One symbol. The trade intake, the repair and the outlet share it, all on one event loop.

    Two cursors: `next_id` is where the feed stands, and the debt, while there is one, tells where the store stands:
    it has lost what lies between, or could not take it. New runs then go to the retention alone, and the refill
    brings all from there on, in order.
    """

    __slots__ = (
        "begins", "closed", "debt", "dirty", "entries", "first_id", "first_s", "gap", "head_id", "head_s", "held",
        "lost", "minutes", "newest", "next_id", "oldest_ns", "open", "order", "origin_id", "passed", "recent",
        "recent_mask", "reference_id", "refused", "refused_s", "repaired", "resumed_id", "runs", "spilled",
        "states", "strangers", "symbol", "symbol_json",
    )  # fmt: skip

    def __init__(self, symbol: str, recent: int = RECENT_MAX) -> None:
        """`recent`, a power of two: so many of the newest trades are remembered, to compare copies with them."""
        self.symbol = symbol
        self.symbol_json = json_text(symbol)
        self.recent: list[Trade | None] = [None] * recent
        """At the lowest bits of its id."""
        self.recent_mask = recent - 1
        self.next_id = -1
        """The trade id that follows what has been let through; -1 before the first."""
        self.repaired = 0
        """Ids before it that no stream brought."""
        self.order = TradeOrder()
        self.reference_id = -1
        """Last trade id that a ticker named: what the first trade's id is held against."""
        self.origin_id = -1
        """The first trade id that the store has, or had when we began."""
        self.begins = False
        """Whether the next run may begin a stream: there was none."""
        self.lost = False
        """The store had a stream once and has none any more: when the first trade comes, it is filled again."""
        self.held: dict[int, Trade] = {}
        """Trades that wait for those before them, by id."""
        self.spilled = Spilled()
        """What waits in the retention, because memory had no room for more."""
        self.first_s = 0.0
        """When the first trade of a symbol without a sequence came."""
        self.gap: OpenGap | None = None
        self.resumed_id = -1
        """The id that was due when collection began: of a hole from there on only the newer part is filled."""
        self.head_s = 0.0
        """Since when a ticker has been naming a later trade than the stream brought; 0.0 while none does."""
        self.head_id = -1
        """The id that was due then."""
        self.strangers = 0
        """Trades far behind the cursor, one after the other: of another market, or after a reset of ids."""
        self.refused: dict[int, Refusal] = {}
        self.refused_s: dict[int, float] = {}
        """When each refused id that is still due was refused first: for a while a good copy may take its place."""
        self.passed: list[Gap] = []
        """What was passed over since the newest run, explained."""
        self.debt: Debt | None = None
        """What the store lacks; None while the newest runs follow what it has."""
        self.dirty = False
        self.runs: list[TradeRun] = []
        self.minutes = MinuteVolumes()
        """What the trades that passed say of each minute's kline."""
        self.closed: list[KlineUpdate] = []
        self.open: dict[str, KlineUpdate] = {}
        self.states: dict[Collected, NewestUpdate] = {}
        self.begin_run()

    @property
    def spoken(self) -> int:
        """Grows with every trade that the stream brings, and with nothing else; -1 before the first."""
        return -1 if self.next_id < 0 else self.next_id - self.repaired + len(self.held)

    @property
    def is_stranded(self) -> bool:
        """Whether all that comes is from far behind the cursor: the exchange's ids have begun anew."""
        return self.strangers >= STRANGERS_MAX

    def begin_anew(self, next_id: int) -> None:
        """The exchange's ids have: nothing that is known of the old ones counts."""
        self.next_id = self.resumed_id = next_id
        self.recent = [None] * len(self.recent)
        self.order = TradeOrder()
        self.minutes = MinuteVolumes()
        self.origin_id = -1
        self.spilled = Spilled()
        self.strangers = 0
        self.gap = None
        self.refused_s.clear()

    def begin_run(self) -> None:
        """No trade is in the run that grows."""
        self.first_id = -1
        self.entries: list[int | str] = []
        self.newest: Trade | None = None
        self.oldest_ns = 0

    def take_klines(self) -> list[KlineUpdate]:
        """The closed ones in order, then the newest state of each open one."""
        updates = self.closed + list(self.open.values())
        self.closed, self.open = [], {}
        return updates
