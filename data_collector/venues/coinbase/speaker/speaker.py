"""What the simulator is handed."""

from __future__ import annotations

from data_collector.simulator.speaker import Speaker
from data_collector.venues.coinbase.speaker.frames import market_symbol, speak
from data_collector.venues.coinbase.speaker.rest import CoinbaseRestSpeaker
from data_collector.venues.coinbase.speaker.streams import CoinbaseStreams

SPEAKER = Speaker(
    name="coinbase", speak=speak, market_symbol=market_symbol, open_streams=CoinbaseStreams,
    open_rest=CoinbaseRestSpeaker,
)  # fmt: skip
