"""Libraries that not everybody needs, and the sentence for who lacks one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from data_collector.client.errors import NotInstalled


@contextmanager
def extra_needed() -> Iterator[None]:
    """Turn a library that is not there into the sentence that names how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        cure = "'btc-data-collector[frames]'" if error.name in ("numpy", "pyarrow") else error.name
        raise NotInstalled(f"Frames of this kind need {error.name}: pip install {cure}.") from error
