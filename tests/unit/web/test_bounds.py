"""How large a request may be, how long it may take, how often it may come, and for whom it counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from limits import RateLimitItem
from starlette.types import Scope

from data_collector.web import bounds
from data_collector.web.answers import Rejections
from data_collector.web.bounds import BODY_BYTES_MAX, READS, WORK, WRITES, RateLimit, RequestBounds, client_of
from tests.unit.web.asgi import Answer, ask, counting_app

Post = Callable[[FastAPI, str, int], Awaitable[Answer]]

LARGE_BODIES = {"/validate": 200, "/audit": 300}
NOW_S = 1_000_000_001.0
"""A second after the windows of 4 and of 10 seconds began."""


@pytest.fixture
def rejections() -> Rejections:
    return Rejections()


@pytest.fixture
def bounded(rejections: Rejections) -> FastAPI:
    """Takes 100 bytes, and more on two paths."""
    app = counting_app()
    app.add_middleware(RequestBounds, rejections=rejections, body_bytes_max=100, large_bodies=LARGE_BODIES)
    return app


@pytest.fixture
def limited(rejections: Rejections, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """Counts work apart, at one moment, so that no window ends."""
    monkeypatch.setattr("time.time", lambda: NOW_S)
    app = counting_app()
    app.add_middleware(RateLimit, rejections=rejections, work_paths={"/validate", "/audit"})
    return app


async def post_told(app: FastAPI, path: str, size: int) -> Answer:
    return await ask(app, "POST", path, headers={"content-length": str(size)}, body=[b"x" * size])


async def post_untold(app: FastAPI, path: str, size: int) -> Answer:
    """In two pieces, neither of which is too large."""
    return await ask(app, "POST", path, body=[b"x" * (size // 2), b"x" * (size - size // 2)])


@pytest.mark.parametrize("post", [post_told, post_untold])
@pytest.mark.parametrize(
    ("path", "bytes_max"),
    [("/other", 100), ("/", 100), ("/validate", 200), ("/audit", 300), ("/validate/", 100), ("/audit/x", 100)],
)
async def test_each_path_takes_a_body_up_to_its_own_limit(
    bounded: FastAPI, rejections: Rejections, post: Post, path: str, bytes_max: int
) -> None:
    fits, too_large = await post(bounded, path, bytes_max), await post(bounded, path, bytes_max + 1)

    assert (fits.status, fits.json) == (200, bytes_max)
    assert (too_large.status, too_large.detail) == (413, f"The body has more than {bytes_max} bytes.")
    assert too_large.headers["connection"] == "close"
    assert [(sample.labels, sample.value) for sample in rejections.samples()] == [({"reason": "body"}, 1)]


@pytest.mark.parametrize("post", [post_told, post_untold])
async def test_without_limits_of_its_own_a_path_takes_64_kib(rejections: Rejections, post: Post) -> None:
    app = counting_app()
    app.add_middleware(RequestBounds, rejections=rejections)

    statuses = [(await post(app, "/validate", size)).status for size in (BODY_BYTES_MAX, BODY_BYTES_MAX + 1)]

    assert BODY_BYTES_MAX == 64 * 1024
    assert statuses == [200, 413]


@pytest.mark.parametrize("length", ["", "-1", "1e3", "9" * 13])
async def test_a_length_that_is_no_number_or_endless_is_too_large_everywhere(bounded: FastAPI, length: str) -> None:
    for path in ("/other", "/audit"):
        assert (await ask(bounded, "POST", path, headers={"content-length": length})).status == 413


@pytest.mark.parametrize(
    ("body_s", "large_body_s", "statuses"), [(0.0, 60.0, (408, 200, 200)), (60.0, 0.0, (200, 408, 408))]
)
async def test_large_bodies_have_a_time_limit_of_their_own(
    bounded: FastAPI, monkeypatch: pytest.MonkeyPatch, body_s: float, large_body_s: float, statuses: tuple[int, ...]
) -> None:
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_S", body_s)
    monkeypatch.setattr(bounds, "LARGE_BODY_TIMEOUT_S", large_body_s)

    answers = [await ask(bounded, "POST", path, body=[b"x"]) for path in ("/other", "/validate", "/audit")]

    assert tuple(answer.status for answer in answers) == statuses


async def burst(app: FastAPI, method: str, path: str, limit: RateLimitItem) -> list[int]:
    """The last status within the limit, and the first beyond it."""
    statuses = [(await ask(app, method, path)).status for _ in range(limit.amount + 1)]
    assert set(statuses[:-1]) == {200}
    return statuses[-2:]


async def statuses_of(app: FastAPI, *requests: tuple[str, str]) -> list[int]:
    return [(await ask(app, method, path)).status for method, path in requests]


async def test_work_is_limited_in_bursts_of_its_own_and_leaves_room_for_the_rest(limited: FastAPI) -> None:
    within, beyond = await burst(limited, "POST", "/validate", WORK)

    others = [("POST", "/audit"), ("GET", "/validate"), ("PUT", "/validate"), ("POST", "/suites")]
    assert (within, beyond) == (200, 429)
    assert await statuses_of(limited, *others) == [429, 200, 200, 200]
    assert (WORK.amount, WORK.get_expiry()) == (200, 4)


async def test_a_client_that_works_too_often_is_told_when_to_come_back(limited: FastAPI) -> None:
    await burst(limited, "POST", "/validate", WORK)

    assert (await ask(limited, "POST", "/validate")).headers["retry-after"] == "3"
    assert (await ask(limited, "POST", "/validate", address="192.0.2.7")).status == 200


@pytest.mark.parametrize(("method", "path"), [("POST", "/suites"), ("PUT", "/validate"), ("POST", "/validate/")])
async def test_all_but_a_post_to_a_working_path_is_a_write(limited: FastAPI, method: str, path: str) -> None:
    assert await burst(limited, method, path, WRITES) == [200, 429]
    assert await statuses_of(limited, ("DELETE", "/audit"), ("POST", "/validate"), ("GET", "/")) == [429, 200, 200]


async def test_reading_a_working_path_is_reading(limited: FastAPI) -> None:
    assert await burst(limited, "GET", "/validate", READS) == [200, 429]
    assert await statuses_of(limited, ("GET", "/"), ("POST", "/validate"), ("POST", "/suites")) == [429, 200, 200]


async def test_where_no_path_works_every_post_is_a_write(
    rejections: Rejections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW_S)
    app = counting_app()
    app.add_middleware(RateLimit, rejections=rejections)

    assert await burst(app, "POST", "/validate", WRITES) == [200, 429]


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        *((host, "loopback") for host in ("127.0.0.1", "127.254.3.2", "::1", "::ffff:127.0.0.9")),
        ("testclient", "other"),
        (None, "local"),
    ],
)
def test_rate_is_counted_by_address_or_network(host: str | None, client: str) -> None:
    scope: Scope = {"type": "http", "headers": [], "client": None if host is None else (host, 50_000)}

    assert client_of(scope) == client
