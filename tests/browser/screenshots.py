"""Pictures of the dashboard for the documents: `python -m tests.browser.screenshots docs/images`."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, FloatRect, sync_playwright

from tests.browser.chromium import chromium_path
from tests.browser.real_service import three_exchanges
from tests.browser.watched_page import DESK, PHONE, opened
from tests.integration.demo import Demo, demo, first
from tests.integration.waiting import until

LOOK_S = 5.0
"""So long the page runs before it is taken: trends are loaded then, and the latency has its seconds."""

DEADLINE_S = 90.0

PICTURES: tuple[tuple[str, tuple[int, int], Literal["light", "dark"]], ...] = (
    ("dashboard-desk-dark", DESK, "dark"),
    ("dashboard-desk-light", DESK, "light"),
    ("dashboard-phone-dark", PHONE, "dark"),
    ("dashboard-phone-light", PHONE, "light"),
)

MOMENTS: tuple[tuple[str, tuple[int, int], Literal["light", "dark"]], ...] = (
    ("moments-desk", (1280, 900), "light"),
    ("moments-phone", PHONE, "dark"),
)
"""Of one panel alone."""

LOST_FRAMES = {"frames": [{"kind": "drop", "stream": "ethusdt@trade", "count": 3}]}
"""Which the repair brings."""
WRONG_PRICE = {"frames": [{"kind": "change", "stream": "bnbusdt@trade", "count": 2, "set": {"p": "-1.00000000"}}]}
"""Which validation refuses."""


def take(browser: Browser, url: str, picture: Path, size: tuple[int, int], scheme: Literal["light", "dark"]) -> None:
    """The first window, when the past has been loaded and the tape knows what is big."""
    with opened(browser, f"{url}/#BTCUSDT/1m", size=size, scheme=scheme) as page:
        until(lambda: re.search(r"of (499|5\d\d) candles", page.text("#chart-text")), "the past", deadline_s=DEADLINE_S)
        time.sleep(LOOK_S)
        for size_of_trade in ("huge", "big"):
            trade = page.page.locator(f"#tape tr:nth-child(-n+18)[data-size={size_of_trade}]").first
            trade.wait_for(timeout=DEADLINE_S * 1000, state="attached")
        page.page.screenshot(path=picture)
        print(picture)


def take_moments(
    browser: Browser, url: str, picture: Path, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    """Moments like this, when there are some."""
    with opened(browser, f"{url}/#BTCUSDT/1m", size=size, scheme=scheme) as page:
        panel = page.page.locator("#moments")
        panel.scroll_into_view_if_needed()
        page.page.locator("#moments-answer").wait_for(state="visible", timeout=DEADLINE_S * 1000)
        time.sleep(1.0)
        panel.screenshot(path=picture)
        print(picture)


def take_several(browser: Browser, url: str, picture: Path) -> None:
    """Three exchanges of which one is stopped, down to the spread."""
    order = json.dumps({"action": "stop", "exchange": "kraken"}).encode()
    request = urllib.request.Request(f"{url}control", order, {"Content-Type": "application/json"})  # noqa: S310 - ours
    with opened(browser, f"{url}#BTCUSDT/1m") as page:
        until(lambda: re.search(r"of (499|5\d\d) candles", page.text("#chart-text")), "the past", deadline_s=DEADLINE_S)
        spread = page.page.locator("#spread")
        spread.scroll_into_view_if_needed()
        page.page.get_by_label("USD and USDT as one quote").check()
        time.sleep(LOOK_S)
        urllib.request.urlopen(request, timeout=DEADLINE_S).close()  # noqa: S310 - ours
        page.expect_text("#spread-rows", "stale")
        page.expect_text("#live .answer", "No")
        page.page.evaluate("scrollTo(0, 0)")
        box = spread.bounding_box()
        assert box is not None
        clip: FloatRect = {"x": 0, "y": 0, "width": DESK[0], "height": box["y"] + box["height"] + 12}
        page.page.screenshot(path=picture, full_page=True, clip=clip)
        print(picture)


def take_below(browser: Browser, url: str, picture: Path) -> None:
    """What an operator looks at, of a feed that sent what is refused: the parts below the market."""
    with opened(browser, f"{url}/#BTCUSDT/1m") as page:
        page.expect_text("#refusals", "price_positive")
        page.expect_text("#gaps", "healed")
        page.page.locator(".operation").scroll_into_view_if_needed()
        time.sleep(LOOK_S)
        page.page.locator(".operation").screenshot(path=picture)
        print(picture)


def take_no(browser: Browser, url: str, picture: Path) -> None:
    """A feed that was stopped."""
    with opened(browser, f"{url}/#BTCUSDT/1m") as page:
        until(lambda: re.search(r"of (499|5\d\d) candles", page.text("#chart-text")), "the past", deadline_s=DEADLINE_S)
        time.sleep(LOOK_S)
        assert page.page.request.post(f"{url}/control", data={"action": "stop"}).ok
        page.expect_text("#live .answer", "No")
        page.page.screenshot(path=picture)
        print(picture)


def take_all(browser: Browser, running: Demo, folder: Path) -> None:
    """Of a demo with which all is well; then of one that loses frames, sends what is refused, and is stopped."""
    url, rest = running.url, first(r"Exchange +\S+, (\S+)", running.screen())
    for name, size, scheme in PICTURES:
        take(browser, url, folder / f"{name}.png", size, scheme)
    for name, size, scheme in MOMENTS:
        take_moments(browser, url, folder / f"{name}.png", size, scheme)
    for order in (LOST_FRAMES, WRONG_PRICE):
        body = json.dumps(order).encode()
        request = urllib.request.Request(f"{rest}/simulator/faults", body, {"Content-Type": "application/json"})  # noqa: S310 - ours
        urllib.request.urlopen(request, timeout=DEADLINE_S).close()  # noqa: S310 - ours
    take_below(browser, url, folder / "dashboard-operation.png")
    take_no(browser, url, folder / "dashboard-no.png")


def main(folder: Path) -> None:
    """Write them into `folder`."""
    chromium = chromium_path()
    if chromium is None:
        raise SystemExit("There is no Chromium on this machine.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as programs:
        place = Path(scratch)
        running = programs.enter_context(demo(place / "var", "--past-days", "7", intervals="1m,5m,15m,1h"))
        playwright = programs.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take_all(browser, running, folder)
        with three_exchanges(place / "several") as url:
            take_several(browser, url, folder / "dashboard-several.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
