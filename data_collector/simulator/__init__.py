"""An exchange of its own process, for demos and tests."""

from data_collector.simulator.control.faults import Faults, FrameFault, Refuse, RefuseStreams, RestFault
from data_collector.simulator.exchange import Simulator
from data_collector.simulator.settings import SimulatorSettings

__all__ = ["Faults", "FrameFault", "Refuse", "RefuseStreams", "RestFault", "Simulator", "SimulatorSettings"]
