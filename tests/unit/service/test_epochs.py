"""What is told of a market whose ids seem to begin anew."""

from __future__ import annotations

from data_collector.pipeline.sequence.trade_sequence import TradeSequence
from data_collector.service.epochs import explain_waiting
from tests.market import SYMBOL


def test_refusal_of_the_exchange_is_told_with_what_helps() -> None:
    sequence = TradeSequence(SYMBOL)
    sequence.new_life.refusal = "a key is wanted; set BINANCE_API_KEY"

    told = explain_waiting(sequence)

    assert f"trades of {SYMBOL} come with ids that were given before" in told
    assert "refuses to tell whether they do (a key is wanted; set BINANCE_API_KEY)" in told
    assert f"`data-collector epoch {SYMBOL} --new`, which begins epoch 1" in told
