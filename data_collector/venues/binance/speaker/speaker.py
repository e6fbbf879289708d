"""What the simulator is handed."""

from __future__ import annotations

from data_collector.simulator.speaker import Speaker
from data_collector.venues.binance.speaker.frames import speak
from data_collector.venues.binance.speaker.rest import BinanceRestSpeaker
from data_collector.venues.binance.speaker.streams import BinanceStreams

SPEAKER = Speaker(
    name="binance", speak=speak, market_symbol=str, open_streams=BinanceStreams, open_rest=BinanceRestSpeaker
)
