"""Feeds garbage to the decoder and the intake: `PYTHONPATH=. python tests/fuzz/fuzz_decoder.py -max_total_time=60`.

Begins with the frames in `corpus/` and the samples of the exchange's folder. Finds out whether anything but `BadFrame`
comes out of `decode`, anything at all out of `receive`, or the counts stop agreeing. A new finding is written to
`crash-…` in the working folder; put its bytes into a unit test.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris
import msgspec

from data_collector.model.keys import StoreKeys

with atheris.instrument_imports(include=["data_collector"]):
    from data_collector.model.calendar import UtcCalendar
    from data_collector.model.errors import BadFrame
    from data_collector.model.sink import Batch
    from data_collector.observe.counters import Counters
    from data_collector.pipeline.outlet.outlet import Outlet
    from data_collector.pipeline.sequence.intake import Intake
    from data_collector.pipeline.sequence.refusals import RAW_BYTES_MAX
    from data_collector.pipeline.sequence.wanted_klines import WantedKlines
    from data_collector.sinks.redis.calls import CallBuilder, StoreLimits
    from data_collector.venues.binance.codec import BinanceCodec
    from data_collector.venues.binance.venue import VENUE
    from tests.judging import Notebook, shipped_gate
    from tests.receiving import receive
from tests.retaining import in_memory

CORPUS = Path(__file__).parent / "corpus"
SAMPLES = Path("data_collector/venues/binance/samples")
FRAMES_PER_INTAKE = 2_000
"""Then a new one is made, so that what one input left behind does not hide another."""

FRAME_BYTES_MAX = 8_192


class Target:
    """One codec, and an intake that is renewed now and then."""

    def __init__(self) -> None:
        self._codec = BinanceCodec()
        limits = StoreLimits(trades_maxlen=1, stream_maxlen=1, kline_ttl_s=lambda _interval: 1)
        self._calls = CallBuilder(StoreKeys(), limits, UtcCalendar(), "fuzz")
        self._frames = 0
        self._renew()

    def _renew(self) -> None:
        self._outlet = Outlet(["BTCUSDT", "BNBBTC"], in_memory("BTCUSDT", "BNBBTC"), records_max=100, side_max=100)
        wanted = WantedKlines(UtcCalendar(), VENUE.intervals)
        self._intake = Intake(shipped_gate(), self._outlet, wanted, Counters(), Notebook())

    def __call__(self, frame: bytes) -> None:
        """One input: any exception that leaves here is a finding."""
        with suppress(BadFrame):
            self._codec.decode(frame, 1)
        intake = self._intake
        receive(intake, frame)
        assert intake.tally.judged == intake.tally.validated + intake.tally.errors, "the counts do not agree"
        intake.release_held(everything=True)
        self._check(self._outlet.take())
        self._frames += 1
        if self._frames % FRAMES_PER_INTAKE == 0:
            self._renew()

    def _check(self, batch: Batch) -> None:
        for run in batch.trades:
            assert all(isinstance(json.loads(str(text)), dict) for text in run.entries[1::2]), "a record is no JSON"
        for entry in batch.side:
            assert all(len(text) <= RAW_BYTES_MAX for text in entry.fields), "quarantine is not bounded"
        for _ in self._calls.calls(batch):
            pass


def seeds(folder: Path) -> None:
    """Every sample of the exchange, raw and combined, one file each."""
    for path in SAMPLES.glob("*.json"):
        for index, sample in enumerate(msgspec.json.decode(path.read_bytes())["samples"]):
            payload = msgspec.json.encode(sample["payload"])
            (folder / f"{path.stem}-{index}-raw").write_bytes(payload)
            combined = msgspec.json.encode({"stream": sample.get("stream", ""), "data": sample["payload"]})
            (folder / f"{path.stem}-{index}-combined").write_bytes(combined)


def main() -> None:
    """Fuzz until the time given on the command line is over."""
    with tempfile.TemporaryDirectory(prefix="dc-fuzz-") as folder:
        # The first folder takes what is found to be new; the corpus that is kept in the tree stays as it is.
        seeds(Path(folder))
        atheris.Setup([*sys.argv, f"-max_len={FRAME_BYTES_MAX}", folder, str(CORPUS)], Target())
        atheris.Fuzz()


if __name__ == "__main__":
    main()
