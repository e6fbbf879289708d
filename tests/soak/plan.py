"""What one soak run is told to do, and the command that tells it again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_collector.model.keys import FIRST_EXCHANGE

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "TRXUSDT")
INTERVALS = ("1m", "5m")

SWARM = "swarm"
"""Instead of names of kinds: three to eight of them, drawn from the seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Drawn from `seed`: which faults, in what order, how hard. When exactly they strike is up to the machine."""

    seed: int = 1
    minutes: float = 2.0
    server: str = "valkey"
    collectors: int = 2
    exchanges: tuple[str, ...] = (FIRST_EXCHANGE,)
    """Several: one service, which has a collector for each, and `collectors` means nothing."""
    kinds: tuple[str, ...] = ()
    """Names of fault kinds; empty for all."""
    rate: float = 5_000.0
    """Trades a second, all symbols together; bursts come on top."""
    symbols: int = 4
    speed: float = 10.0
    """Seconds of market time in a second: klines of a minute close every six seconds."""
    round_s: float = 45.0
    """How long faults strike before they rest and everything is verified."""
    settle_s: float = 120.0
    """How long the collectors may take to catch up then."""
    trades_maxlen: int = 400_000
    stream_maxlen: int = 100_000
    limits: bool = False
    """Whether the exchange refuses who asks too much."""
    klines_begin_anew: bool = False
    """Whether the closed klines that an emptied store had held may stay missing."""
    adversary: bool = False
    """Whether exchange, store and clients mean harm, and what is said is held against what is so all the time."""
    trades: int = 0
    """Go on until readers have seen so many, however long it takes; 0 for `minutes`."""
    plant: str | None = None
    publish: Path | None = None
    folder: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols of the market."""
        return SYMBOLS[: self.symbols]

    @property
    def is_one_service(self) -> bool:
        """Whether collectors are the service's, which starts them again, and not ours."""
        return len(self.exchanges) > 1 or self.adversary

    @property
    def command(self) -> str:
        """What draws the same faults again."""
        words = [f"make soak SEED={self.seed} MINUTES={self.minutes:g}"]
        default = Plan()
        options = {
            "--server": (self.server, default.server),
            "--collectors": (self.collectors, default.collectors),
            "--exchanges": (",".join(self.exchanges), FIRST_EXCHANGE),
            "--kinds": (",".join(self.kinds), ""),
            "--rate": (f"{self.rate:g}", f"{default.rate:g}"),
            "--symbols": (self.symbols, default.symbols),
            "--speed": (f"{self.speed:g}", f"{default.speed:g}"),
            "--round-s": (f"{self.round_s:g}", f"{default.round_s:g}"),
            "--settle-s": (f"{self.settle_s:g}", f"{default.settle_s:g}"),
            "--trades-maxlen": (self.trades_maxlen, default.trades_maxlen),
            "--plant": (self.plant, None),
            "--trades": (self.trades, default.trades),
        }
        changed = [f"{name} {value}" for name, (value, usual) in options.items() if value != usual]
        if self.klines_begin_anew:
            changed.append("--klines-begin-anew")
        if self.adversary:
            changed.append("--adversary")
        if self.limits:
            changed.append("--limits")
        return f'{words[0]} ARGS="{" ".join(changed)}"' if changed else words[0]


def plan_of(arguments: Sequence[str] | None) -> Plan:
    """The plan that a command line asks for."""
    default = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--minutes", type=float, default=default.minutes)
    parser.add_argument("--server", choices=("valkey", "redis"), default=default.server)
    parser.add_argument("--collectors", type=int, default=default.collectors)
    parser.add_argument("--exchanges", default=FIRST_EXCHANGE, help="with commas between; several are one service")
    parser.add_argument("--kinds", default="", help=f"names of faults with commas between, or {SWARM}; all by default")
    parser.add_argument("--rate", type=float, default=default.rate, help="trades a second, all symbols together")
    parser.add_argument("--symbols", type=int, default=default.symbols, choices=range(1, len(SYMBOLS) + 1))
    parser.add_argument("--speed", type=float, default=default.speed, help="seconds of market time in a second")
    parser.add_argument("--round-s", type=float, default=default.round_s)
    parser.add_argument("--settle-s", type=float, default=default.settle_s)
    parser.add_argument("--trades-maxlen", type=int, default=default.trades_maxlen)
    parser.add_argument("--stream-maxlen", type=int, default=default.stream_maxlen)
    parser.add_argument("--limits", action="store_true", help="the exchange refuses who asks too much")
    parser.add_argument("--adversary", action="store_true", help="exchange, store and clients mean harm")
    parser.add_argument("--trades", type=int, default=0, help="go on until so many are stored, whatever --minutes says")
    parser.add_argument("--klines-begin-anew", action="store_true", help="an emptied store may lack earlier klines")
    parser.add_argument("--plant", default=None, help="a bug to be planted into the collectors")
    parser.add_argument("--publish", type=Path, default=None, help="a document whose table gets a line of this run")
    parser.add_argument("--folder", type=Path, default=None, help="for data and logs; a temporary one by default")
    chosen = vars(parser.parse_args(arguments))
    for option in ("kinds", "exchanges"):
        chosen[option] = tuple(name for name in chosen[option].split(",") if name)
    if len(chosen["exchanges"]) == 1 and chosen["exchanges"] != default.exchanges:
        parser.error(f"one exchange alone is {FIRST_EXCHANGE}")
    if chosen["adversary"] and len(chosen["exchanges"]) > 1:
        parser.error("an adversary strikes one exchange")
    return Plan(**chosen)
