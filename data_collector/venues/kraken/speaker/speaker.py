"""What the simulator is handed."""

from __future__ import annotations

from data_collector.simulator.speaker import Speaker
from data_collector.venues.kraken.speaker.frames import speak
from data_collector.venues.kraken.speaker.names import market_symbol
from data_collector.venues.kraken.speaker.rest import KrakenRestSpeaker
from data_collector.venues.kraken.speaker.streams import KrakenStreams

SPEAKER = Speaker(
    name="kraken", speak=speak, market_symbol=market_symbol, open_streams=KrakenStreams, open_rest=KrakenRestSpeaker
)
