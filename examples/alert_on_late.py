"""An alert for each record that came too late or was corrected, and for each that nobody has.

Whoever has acted upon a candle wants to know that the exchange has changed it since. With ALERT_URL the sentence is
posted there as well (ntfy, Slack by way of a hook, a program of your own).

Usage: alert_on_late.py

Nothing may come for days. docs/simulator.md has the commands by which the demo's exchange corrects a candle and leaves
out trades ("What a reader can be shown").
"""

import argparse
import os
import urllib.request
from contextlib import suppress

from data_collector.client import Client, Gap, Revision, Trade


def alert(sentence: str) -> None:
    print(sentence, flush=True)
    if url := os.environ.get("ALERT_URL"):
        try:
            urllib.request.urlopen(url, data=sentence.encode(), timeout=10).close()
        except OSError as error:
            print(f"ALERT_URL did not take it: {error}", flush=True)


argparse.ArgumentParser().parse_args()
with suppress(KeyboardInterrupt), Client() as client:
    series = [f"{symbol}:{what}" for symbol in client.symbols() for what in ("trades", "1m")]
    live = client.live(*series, start="now", revisions=True)
    print(f"Watching {len(series)} series:", *series, flush=True)
    for item in live:
        match item:
            case Revision(record=Trade() as trade):
                alert(f"{trade.symbol}: trade {trade.trade_id} at {trade.price} came late ({item.why})")
            case Revision(record=kline):
                candle = f"the {kline.interval} candle of {kline.timestamp}"
                alert(f"{kline.symbol}: {candle} closed at {kline.close} ({item.why})")
            case Gap():
                alert(item.sentence)
