"""Exchanges of a process of their own, for demos and tests."""

from data_collector.simulator.control.faults import (
    EqualTimes,
    Faults,
    FrameFault,
    Lie,
    Refuse,
    RefuseStreams,
    RestFault,
)
from data_collector.simulator.exchange import Simulator
from data_collector.simulator.settings import SimulatorSettings

__all__ = [
    "EqualTimes",
    "Faults",
    "FrameFault",
    "Lie",
    "Refuse",
    "RefuseStreams",
    "RestFault",
    "Simulator",
    "SimulatorSettings",
]
