"""What a memory answers: the same however it was filled and whenever it is asked, and honest about its worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_collector.client.adapters.memory import Memory
from data_collector.client.records import ms_of
from tests.market import SYMBOL
from tests.unit.client.adapters.candles import feed, klines, walk


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path, SYMBOL, "1m", window=16)


def test_product_of_vectors_is_the_similarity(memory: Memory) -> None:
    feed(memory, klines(walk(3000)))

    hits = memory.similar(k=20)
    open_ms, vectors = memory.vectors()

    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    found = vectors[np.searchsorted(open_ms, [ms_of(hit.start) for hit in hits])] @ vectors[-1]
    assert np.abs(found - [hit.similarity for hit in hits]).max() < 1e-5
