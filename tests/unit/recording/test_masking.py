"""Keys and addresses never stand in a recording; market data is untouched."""

from __future__ import annotations

import pytest

from data_collector.recording.masking import Mask

MASK = Mask(["canary-of-a-key", "canary-of-a-key-and-more", ""])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('{"msg":"Way too many requests; IP(203.0.113.7) banned"}', '{"msg":"Way too many requests; IP(***) banned"}'),
        ('{"msg":"IP 2001:db8::7f is banned."}', '{"msg":"IP *** is banned."}'),
        ('{"msg":"::1, 10.0.0.1:9443"}', '{"msg":"***, ***:9443"}'),
        ("key canary-of-a-key-and-more, canary-of-a-key!", "key ***, ***!"),
        ("via http://who:canary@proxy:3128/", "via http://***@proxy:3128/"),
    ],
)
def test_addresses_and_keys_are_taken_out(said: str, kept: str) -> None:
    assert MASK.all(said.encode()).decode() == kept


@pytest.mark.parametrize("said", ['{"time":"12:30:45"}', '{"v":"2.0.10"}', '{"p":"1.50000000","E":1}', "999.1.1.1"])
def test_what_only_looks_like_one_stays(said: str) -> None:
    assert MASK.all(said.encode()).decode() == said
