"""An intake with its outlet, to feed with frames."""

from __future__ import annotations

import asyncio
import json

from data_collector.model.calendar import UtcCalendar
from data_collector.model.errors import BadFrame
from data_collector.model.records import Record
from data_collector.model.sink import Batch, SideEntry
from data_collector.observe.counters import Counters
from data_collector.pipeline.connections.websocket import Control
from data_collector.pipeline.gaps.ledger import Ledger
from data_collector.pipeline.outlet.outlet import Outlet
from data_collector.pipeline.sequence.intake import Intake
from data_collector.pipeline.sequence.trade_sequence import ARBITRATION_S
from data_collector.pipeline.sequence.wanted_klines import WantedKlines
from data_collector.pipeline.spool.spool import Spool
from data_collector.venues.binance.codec import BinanceCodec
from data_collector.venues.binance.speaker.frames import encode
from tests.judging import Notebook, shipped_gate
from tests.market import MINUTE_MS, NOON_MS, SYMBOL, ticker, trade
from tests.receiving import receive
from tests.retaining import in_memory

CODEC = BinanceCodec()
COPIES = "data_collector_messages_copies_total"


class Scene:
    """An intake with its outlet, fed with records as frames."""

    def __init__(self, *, catch_up_s: float = 0.0, kept: Spool | None = None, are_built: bool = False) -> None:
        self.counters = Counters()
        self.notebook = Notebook()
        self.now_s = 0.0
        self.kept = kept or in_memory(SYMBOL, "ETHUSDT")
        self.outlet = Outlet([SYMBOL, "ETHUSDT"], self.kept, clock=lambda: self.now_s)
        self.ledger = Ledger(lambda: self.now_s, self.counters, epoch_of=self.outlet.epoch_of)
        wanted = WantedKlines(UtcCalendar(), ["1m", "1h", "1M"], catch_up_s, are_built=are_built)
        self.intake = Intake(
            shipped_gate(), self.outlet, wanted, self.counters, self.notebook, clock=lambda: self.now_s,
            ledger=self.ledger,
        )  # fmt: skip
        self.queue = self.outlet.queues[SYMBOL]
        self.sequence = self.intake.trades.sequences[SYMBOL]

    def send(self, *records: Record) -> None:
        for record in records:
            self.frame(encode(record))

    def begin(self, trade_id: int = 10) -> None:
        """The first trade is let through, with a ticker that vouches for its id."""
        self.send(ticker(NOON_MS - MINUTE_MS, first_id=1, last_id=trade_id), trade(trade_id))
        self.wait(ARBITRATION_S)

    def wait(self, seconds: float) -> None:
        """Time passes, and the intake lets go what waited long enough."""
        self.now_s += seconds
        self.intake.release_held()

    def read_back(self, first_id: int) -> None:
        """As the repair does with what waits in the spool."""
        self.outlet.end_runs()
        found = asyncio.run(self.kept.read(SYMBOL, first_id, trades_max=10**6))
        self.intake.trades.take_runs(self.sequence, found)

    def frame(self, frame: bytes) -> Control | BadFrame | None:
        answer = receive(self.intake, frame, 5)
        intake = self.intake
        assert intake.tally.judged == intake.tally.validated + intake.tally.errors
        return answer

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.intake.tally.judged, self.intake.tally.validated, self.intake.tally.errors

    def take_side(self) -> list[SideEntry]:
        return self.outlet.take().side

    def take(self) -> Batch:
        return self.outlet.take()


def fields(entry: SideEntry) -> dict[str, str]:
    return dict(zip(entry.fields[::2], entry.fields[1::2], strict=True))


def rules(entry: SideEntry) -> list[str]:
    return [item["rule"] for item in json.loads(fields(entry)["why"])]


def gaps(batch: Batch) -> list[tuple[int, int, str]]:
    return [(gap.first, gap.last, gap.reason) for run in batch.trades for gap in run.gaps]


def runs(batch: Batch) -> list[tuple[int, int]]:
    return [(run.first_id, run.count) for run in batch.trades]


def gap_of(scene: Scene) -> tuple[int, int] | None:
    """What is missing before what is held back."""
    gap = scene.sequence.gap
    return None if gap is None else (gap.first_id, gap.last_id)
