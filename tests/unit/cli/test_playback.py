"""`simulate --recording`: which recordings are taken, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_collector.cli.simulate.playback import playback_of, tell_end, tell_recording
from data_collector.model.errors import Misconfigured
from data_collector.observe.counters import Counters
from data_collector.recording.lines import Head
from data_collector.recording.masking import Mask
from data_collector.recording.recorder import Recorder
from data_collector.simulator.settings import SimulatorSettings


async def recorded(folder: Path, exchange: str, *symbols: str) -> None:
    """A recording of one answer."""
    head = Head(exchange=exchange, symbols=symbols, intervals=("1m", "5m"), channels=("trade",))
    recorder = Recorder(folder / exchange, Counters(), head, Mask([]), bytes_max=1_000_000)
    recorder.answer("/time", {}, 200, {}, b"{}", 1)
    await recorder.close()


async def test_collector_is_told_to_collect_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await recorded(tmp_path, "kraken", "BTC/USD")
    await recorded(tmp_path, "binance", "BTCUSDT", "ETHUSDT")
    playback = playback_of(tmp_path, SimulatorSettings(), None)

    await playback.start()
    try:
        tell_recording(playback)
        await playback.wait()
        tell_end(playback)
        addresses = playback.addresses
    finally:
        await playback.stop()

    told = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in told if "export" in line] == [
        "export EXCHANGES=binance,kraken",
        "export SYMBOLS=BTCUSDT,ETHUSDT",
        f"export BINANCE_WS_URL={addresses['binance'].ws_url}",
        f"export BINANCE_REST_URL={addresses['binance'].rest_url}",
        "export KRAKEN_SYMBOLS=BTC/USD",
        f"export KRAKEN_WS_URL={addresses['kraken'].ws_url}",
        f"export KRAKEN_REST_URL={addresses['kraken'].rest_url}",
        "export INTERVALS=1m,5m",
        "export CHANNELS=trade",
    ]
    assert "0 frames, 1 answers" in told[1]
    assert told[-1].startswith("The recording is over: 0 frames sent.")


async def test_folder_of_one_exchange_and_a_choice_of_exchanges_are_taken(tmp_path: Path) -> None:
    await recorded(tmp_path, "kraken", "BTC/USD")
    await recorded(tmp_path, "binance", "BTCUSDT")

    (only,) = playback_of(tmp_path / "kraken", SimulatorSettings(), None).exchanges
    assert only.name == "kraken"
    assert [each.name for each in playback_of(tmp_path, SimulatorSettings(), ["kraken"]).exchanges] == ["kraken"]
    with pytest.raises(Misconfigured, match="holds nothing of coinbase, but of binance, kraken"):
        playback_of(tmp_path, SimulatorSettings(), ["coinbase"])


async def test_what_is_no_recording_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="holds no recording: name the folder that RECORD named"):
        playback_of(tmp_path, SimulatorSettings(), None)
    (tmp_path / "00000001.jsonl.zst").write_bytes(b"something else")
    with pytest.raises(Misconfigured, match="holds no recording: no file in it begins"):
        playback_of(tmp_path, SimulatorSettings(), None)
