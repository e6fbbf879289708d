"""What the audit remembers of the records before a batch, of each source, symbol and interval, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from data_collector.validation.rules.columns import COLUMNS, KINDS, Kind

Column = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

KEYS_MAX: Final = 10_000
"""Of a source; about 2 KiB each. The key that was seen least recently is forgotten; its next batch starts with an empty
memory."""

ALL_KEYS_MAX: Final = 4 * KEYS_MAX
"""Of all sources. Beyond it the source that was seen least recently forgets first: a collector that ended stays one."""

TYPICAL_OF: Final = 100
"""How many values a median is of."""

TYPICAL_OF_MIN: Final = 20
"""Of fewer values a median says little, and is null."""


def _sources(kind: Kind, prefix: str) -> Mapping[str, str]:
    return {name: name.removeprefix(prefix) for name in COLUMNS[kind] if name.startswith(prefix)}


_PREVIOUS: Final = {kind: _sources(kind, "previous_") for kind in KINDS}
_TYPICAL: Final = {kind: _sources(kind, "typical_") for kind in KINDS}
"""Column to the column that it remembers: `previous_open_ms` to `open_ms`."""


class _OfKey:
    """Of one key."""

    def __init__(self, kind: Kind) -> None:
        self.previous: dict[str, float] = dict.fromkeys(_PREVIOUS[kind], np.nan)
        self.recent: dict[str, Floats] = {name: np.empty(0) for name in _TYPICAL[kind]}
        self.typical: dict[str, float] = dict.fromkeys(_TYPICAL[kind], np.nan)

    def learn(self, name: str, values: Floats) -> None:
        """Put new values behind the known ones and keep the last."""
        known = values[np.isfinite(values)][-TYPICAL_OF:]
        if known.size:
            self.recent[name] = np.concatenate((self.recent[name], known))[-TYPICAL_OF:].copy()
        if self.recent[name].size >= TYPICAL_OF_MIN:
            self.typical[name] = float(np.median(self.recent[name]))


class Memory:
    """Accepted records that came in their place: only these tell what is usual, and what came before."""

    def __init__(self, keys_max: int = KEYS_MAX, all_keys_max: int = ALL_KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._all_keys_max = all_keys_max
        self._sources: OrderedDict[str, OrderedDict[tuple[str, ...], _OfKey]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._sources.values()))

    def columns(self, source: str, kind: Kind, columns: Mapping[str, Column], in_place: Mask) -> dict[str, Floats]:
        """The columns `previous_*` and `typical_*` of a batch, which is then remembered.

        `in_place` marks the rows that were accepted and not late. The others have no `previous_*`. Medians are of the
        batches before.
        """
        found = {name: np.full(len(in_place), np.nan) for name in (*_PREVIOUS[kind], *_TYPICAL[kind])}
        self._sources.setdefault(source, OrderedDict())
        self._sources.move_to_end(source)
        for key, listed in _rows_by_key(columns).items():
            rows = np.array(listed, dtype=np.intp)
            memory = self._memory(source, (kind, *key), kind)
            for name in _TYPICAL[kind]:
                found[name][rows] = memory.typical[name]
            placed = rows[in_place[rows]]
            if placed.size:
                _follow(kind, memory, columns, placed, found)
        return found

    def _memory(self, source: str, key: tuple[str, ...], kind: Kind) -> _OfKey:
        memories = self._sources[source]
        memory = memories.get(key)
        if memory is None:
            memory = memories[key] = _OfKey(kind)
            if len(memories) > self._keys_max:
                memories.popitem(last=False)
            elif len(self) > self._all_keys_max:
                self._forget_of_others()
        else:
            memories.move_to_end(key)
        return memory

    def _forget_of_others(self) -> None:
        source, memories = next(iter(self._sources.items()))
        memories.popitem(last=False)
        if not memories:
            del self._sources[source]


def _follow(
    kind: Kind, memory: _OfKey, columns: Mapping[str, Column], placed: npt.NDArray[np.intp], found: dict[str, Floats]
) -> None:
    for name, of in _PREVIOUS[kind].items():
        values = columns[of][placed].astype(np.float64)
        found[name][placed[0]] = memory.previous[name]
        found[name][placed[1:]] = values[:-1]
        memory.previous[name] = float(values[-1])
    final = placed[columns["is_closed"][placed].astype(bool)] if kind == "kline" else placed
    for name, of in _TYPICAL[kind].items():
        memory.learn(name, columns[of][final].astype(np.float64))


def _rows_by_key(columns: Mapping[str, Column]) -> Mapping[tuple[str, ...], Sequence[int]]:
    names = [name for name in ("symbol", "interval") if name in columns]
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*(columns[name].tolist() for name in names), strict=True)):
        rows.setdefault(key, []).append(row)
    return rows
