"""Binance's other end, for the simulator: what it sends and answers."""

from data_collector.simulator.speaker import Speaker
from data_collector.venues.binance.speaker.frames import speak
from data_collector.venues.binance.speaker.rest import BinanceRestSpeaker
from data_collector.venues.binance.speaker.streams import BinanceStreams

SPEAKER = Speaker("binance", speak, str, BinanceStreams, BinanceRestSpeaker)
