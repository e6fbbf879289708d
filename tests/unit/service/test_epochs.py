"""What is told of a market whose ids seem to begin anew."""

from __future__ import annotations

from pathlib import Path

from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.service.epochs import EpochHome, explain_waiting
from data_collector.settings import load_settings
from tests.market import SYMBOL


def test_refusal_of_the_exchange_is_told_with_what_helps() -> None:
    sequence = TradeSequence(SYMBOL)
    sequence.new_life.refusal = "a key is wanted; set BINANCE_API_KEY"

    told = explain_waiting(sequence)

    assert f"trades of {SYMBOL} come with ids that were given before" in told
    assert "refuses to tell whether they do (a key is wanted; set BINANCE_API_KEY)" in told
    assert f"`data-collector epoch {SYMBOL} --new`, which begins epoch 1" in told


async def test_next_start_knows_the_epochs_and_when_those_ended_that_were_run_past(tmp_path: Path) -> None:
    first, second, emptied, last = (
        EpochHome(load_settings({}, None), tmp_path, "binance", empty=empty) for empty in (False, False, True, False)
    )
    await first.remember(SYMBOL, 1)
    await first.remember(SYMBOL, 2, 7)
    await second.open()
    assert (second.known, second.ended_ms) == ({SYMBOL: 2}, {SYMBOL: {1: 7}})

    await emptied.open()
    await last.open()
    assert (last.known, last.ended_ms) == ({}, {})
