"""Pictures of the dashboard for the documents: `python -m tests.browser.screenshots docs/images`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from data_collector.embedded.peer import free_port
from tests.browser.chromium import chromium_path
from tests.browser.real_service import serving
from tests.browser.watched_page import DESK, PHONE, opened
from tests.integration.processes import exchange
from tests.integration.waiting import until

SYMBOLS = "BTCUSDT,ETHUSDT,BNBUSDT,SOLUSDT,XRPUSDT,ADAUSDT,DOGEUSDT,LTCUSDT,DOTUSDT,LINKUSDT,TRXUSDT,AVAXUSDT"
LOOK_S = 8.0
"""So long the page runs before it is taken: trends are loaded, and the latency has its seconds."""

PICTURES: tuple[tuple[str, tuple[int, int], Literal["light", "dark"]], ...] = (
    ("dashboard-desk-dark", DESK, "dark"),
    ("dashboard-desk-light", DESK, "light"),
    ("dashboard-phone-dark", PHONE, "dark"),
    ("dashboard-phone-light", PHONE, "light"),
)


def take(browser: Browser, url: str, folder: Path) -> None:
    """All pictures, of the page as a whole."""
    for name, size, scheme in PICTURES:
        with opened(browser, f"{url}#BTCUSDT/1m", size=size, scheme=scheme) as page:
            until(lambda page=page: page.text("#complete .answer") == "Yes", "a complete feed", deadline_s=60)
            time.sleep(LOOK_S)
            page.page.screenshot(path=folder / f"{name}.png", full_page=True)
            print(folder / f"{name}.png")


def main(folder: Path) -> None:
    """Write them into `folder`."""
    chromium = chromium_path()
    if chromium is None:
        raise SystemExit("There is no Chromium on this machine.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        place = Path(scratch)
        options = ("--trades-per-s", "12", "--history-trades", "40000", "--kept-trades", "60000")
        with exchange(place, *options, symbols=SYMBOLS) as market:
            settings = {"symbols": SYMBOLS, "intervals": "1m,5m,15m,1h", "gx_audit": "1"}
            with serving(place / "service", market, free_port(), **settings) as url:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                take(browser, url, folder)
                browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
