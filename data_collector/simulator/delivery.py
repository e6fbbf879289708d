"""What faults do to the frames on their way to one connection."""

from __future__ import annotations

from collections.abc import Callable

from data_collector.simulator.distortion import changed, corrupted
from data_collector.simulator.faults import Faults, FrameFault
from data_collector.simulator.frames import text_payload


class Delivery:
    """Stands between the feed and the socket of a connection while there are faults in force."""

    def __init__(self, number: int, faults: Faults, write: Callable[[bytes], None]) -> None:
        self._number = number
        self._faults = faults
        self._write = write
        self._held_back: list[tuple[int, bytes]] = []

    @property
    def is_plain(self) -> bool:
        """Whether frames may go to the socket as they are."""
        return not self._faults.frame_faults and not self._held_back

    def deliver(self, stream: str, payload: bytes, *, combined: bool, later: Callable[[float, bytes], None]) -> None:
        """Send a payload as the fault that fits it says; `later` sends something after some seconds."""
        fault = self._faults.frame_fault(self._number, stream, payload)
        framed = text_payload(stream, payload, combined=combined)
        if fault is not None and fault.kind == "reorder":
            self._held_back.append((fault.span, framed))
            return
        if fault is not None and fault.kind == "delay":
            later(fault.delay_s, framed)
        for each in [framed] if fault is None else _frames_with(fault, stream, payload, combined=combined):
            self._write(each)
        self._release()

    def _release(self) -> None:
        waiting = [(span - 1, held) for span, held in self._held_back]
        self._held_back = [(span, held) for span, held in waiting if span > 0]
        for span, held in waiting:
            if span <= 0:
                self._write(held)


def _frames_with(fault: FrameFault, stream: str, payload: bytes, *, combined: bool) -> list[bytes]:
    framed = text_payload(stream, payload, combined=combined)
    match fault.kind:
        case "drop" | "reorder" | "delay":
            return []
        case "duplicate":
            return [framed, framed]
        case "change":
            return [text_payload(stream, changed(payload, fault), combined=combined)]
        case "conflict":
            return [framed, text_payload(stream, changed(payload, fault), combined=combined)]
        case "corrupt":
            return [text_payload(stream, corrupted(payload, fault.shape), combined=combined)]
