"""`plan`: before it asks anybody, and in the words of the exchange."""

from __future__ import annotations

import pytest

from data_collector.cli.plan import _rows, plan
from data_collector.model.errors import Misconfigured
from data_collector.model.subscriptions import Subscriptions
from data_collector.service.subscription_plan import change_of, plan_groups
from data_collector.settings import load_settings
from data_collector.venues.discovery import find_venue


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(Misconfigured, match="--url: "):
        plan(symbols=None, intervals=None, channels=None, url="foo", json=False, exchange=None)


@pytest.mark.parametrize(
    ("name", "fill", "note"),
    [
        ("binance", "weight 28 at least", "on top: weight 25 per 1,000."),
        ("kraken", "5 calls at least", "on top: 1 call per 1,000."),
    ],
)
def test_change_is_told_in_the_words_of_the_exchange(name: str, fill: str, note: str) -> None:
    """Kraken has neither SUBSCRIBE nor weights."""
    settings, venue = load_settings({"EXCHANGES": name}, None), find_venue(name)
    wanted = Subscriptions(settings.symbols[:2], ("1m",), ("kline", "trade"))
    plans = plan_groups([], list(wanted.every_key()), venue, lines_per_stream=1)

    change = change_of(plans, Subscriptions((), (), ()), wanted, venue, settings)
    rows = dict(_rows(change, venue.cost))

    assert rows["first fill by REST"] == fill
    assert change.notes[0].endswith(note)
    assert " subscribed, 0 unsubscribed in " in rows["new connection 1"]
    assert not any(word in " ".join(rows.values()) for word in ("SUBSCRIBE", "REST weight"))
