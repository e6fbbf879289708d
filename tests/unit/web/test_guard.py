"""Which requests may write, by what they say of themselves."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from data_collector.web.answers import Rejections
from data_collector.web.guard import CLOSED, WriteGuard, WritePolicy
from tests.unit.web.asgi import Answer, ask, counting_app

JSON = {"content-type": "application/json", "host": "localhost:8001"}
SUITES_CLOSED = "Writing suites is closed until CONTROL_TOKEN is set; or edit the files in SUITES_DIR."


def connection(
    headers: dict[str, str], *, client: str | None = "127.0.0.1", server: str | None = "127.0.0.1"
) -> HTTPConnection:
    return HTTPConnection(
        {
            "type": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": None if client is None else (client, 50_000),
            "server": None if server is None else (server, 8001),
        }
    )


def refused(
    policy: WritePolicy, *, client: str | None = "127.0.0.1", server: str | None = "127.0.0.1", **headers: str
) -> str | None:
    """The reason, with JSON and this machine's name unless `headers` say otherwise."""
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    rejection = policy.rejection(connection(given, client=client, server=server))
    return None if rejection is None else rejection.reason


def policy(environment: str = "development", token: str | None = None, *hosts: str) -> WritePolicy:
    return WritePolicy(environment=environment, token=token, allowed_hosts=hosts or None)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_development_on_loopback_is_open(address: str) -> None:
    assert refused(policy(), client=address, server=address) is None


@pytest.mark.parametrize(
    ("client", "server"),
    [("192.0.2.7", "192.0.2.1"), ("127.0.0.1", "192.0.2.1"), ("192.0.2.7", "127.0.0.1"), (None, "127.0.0.1"),
     ("127.0.0.1", None), ("localhost", "127.0.0.1")],
)  # fmt: skip
def test_development_is_closed_to_other_machines(client: str | None, server: str | None) -> None:
    assert refused(policy(), client=client, server=server) == "token"


@pytest.mark.parametrize("name", ["forwarded", "x_forwarded_for", "x_real_ip", "via"])
def test_a_proxy_on_this_machine_is_not_this_machine(name: str) -> None:
    assert refused(policy(), **{name: "192.0.2.7"}) == "token"


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_other_environments_are_closed_without_a_token(environment: str) -> None:
    assert refused(policy(environment)) == "token"


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret", "secret"]
)
def test_a_token_is_needed_everywhere_once_there_is_one(environment: str, given: str | None) -> None:
    headers = {} if given is None else {"authorization": given}

    assert refused(policy(environment, "secret"), **headers) == "token"


@pytest.mark.parametrize("given", ["Bearer secret", "bearer secret", "BEARER  secret"])
def test_the_token_opens(given: str) -> None:
    assert refused(policy("production", "secret"), client="192.0.2.7", server="192.0.2.1", authorization=given) is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8001", "127.0.0.1:9000", "[::1]", "[::1]:8001"])
def test_names_of_loopback_are_accepted(host: str) -> None:
    assert refused(policy(), host=host) is None


@pytest.mark.parametrize(
    "host", ["", "rebound.example", "localhost.rebound.example", "localhost:x", "127.0.0.1.example", "::1"]
)
def test_other_names_are_not(host: str) -> None:
    assert refused(policy(), host=host) == "host"


def test_two_hosts_or_none_are_refused() -> None:
    twice = connection(JSON)
    twice.scope["headers"].append((b"host", b"localhost"))
    none = connection({"content-type": "application/json"})

    assert [found.reason for c in (twice, none) if (found := policy().rejection(c))] == ["host", "host"]


def test_allowed_hosts_replace_the_names_of_loopback() -> None:
    named = policy("development", None, "collector.example", "other.example:9000", "2001:db8::1")

    hosts = ["collector.example:8001", "other.example:9000", "[2001:db8::1]:8001", "other.example:9001", "localhost"]
    assert [refused(named, host=host) for host in hosts] == [None, None, None, "host", "host"]
    assert refused(policy("development", None, "*"), host="anything.example") is None


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "http://localhost:8002", "localhost:8001"])
def test_foreign_origins_are_refused(origin: str) -> None:
    assert refused(policy(), origin=origin) == "origin"


def test_own_origin_is_accepted_and_cross_site_never() -> None:
    assert refused(policy(), origin="http://localhost:8001", sec_fetch_site="same-origin") is None
    assert refused(policy(), sec_fetch_site="cross-site") == "origin"


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_what_is_not_json_is_told_last(media_type: str) -> None:
    assert refused(policy(), content_type=media_type) == "content_type"
    assert refused(policy("production"), content_type=media_type) == "token"


def guarded(policy: WritePolicy, *open_paths: str) -> FastAPI:
    app = counting_app()
    app.add_middleware(WriteGuard, policy=policy, rejections=Rejections(), open_paths=open_paths)
    return app


def suites_policy(
    token: str | None = None, environment: str = "development", *, always_token: bool = True
) -> WritePolicy:
    return WritePolicy(
        environment=environment, token=token, allowed_hosts=None, always_token=always_token, closed=SUITES_CLOSED
    )


async def post_msgpack(app: FastAPI, path: str, *, method: str = "POST", **headers: str) -> Answer:
    """As a collector in another container does."""
    given = {"content-type": "application/msgpack", "host": "data-validation:8000"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(app, method, path, headers=given, body=[b"\x90"], address="192.0.2.7")


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize("token", [None, "secret"])
async def test_an_open_path_takes_any_programs_post(environment: str, token: str | None) -> None:
    app = guarded(suites_policy(token, environment), "/validate", "/audit")

    assert [(await post_msgpack(app, path)).status for path in ("/validate", "/audit")] == [200, 200]
    assert (await post_msgpack(app, "/validate", content_type="text/plain", x_forwarded_for="192.0.2.9")).status == 200
    assert (await ask(app, "POST", "/validate")).status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_only_post_is_open(method: str) -> None:
    app = guarded(suites_policy("secret"), "/validate", "/audit")

    assert (await post_msgpack(app, "/validate", method=method, host="localhost")).detail == (
        "The bearer token is missing: send 'Authorization: Bearer CONTROL_TOKEN'."
    )


@pytest.mark.parametrize(
    "path", ["/", "/suites", "/validate/", "/validate/x", "/validated", "/Validate", "//validate", "/x/../validate"]
)
async def test_a_path_is_open_only_by_its_full_name(path: str) -> None:
    app = guarded(suites_policy("secret"), "/validate", "/audit")

    assert (await post_msgpack(app, path)).status == 403
    assert (await post_msgpack(app, path, host="localhost")).status == 403


async def test_without_open_paths_all_are_closed() -> None:
    app = guarded(suites_policy())

    assert [(await post_msgpack(app, path)).status for path in ("/validate", "/audit")] == [403, 403]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://localhost:8000", "sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"host": "rebound.example", "origin": "http://rebound.example"}, 403),
        ({"host": "rebound.example", "sec_fetch_site": "same-origin"}, 403),
        ({"host": "rebound.example", "sec_fetch_site": ""}, 403),
        ({"origin": "http://localhost:8000"}, 200),
        ({"origin": "http://localhost:8000", "sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"host": "rebound.example"}, 200),
    ],
)
async def test_pages_of_other_sites_may_not_post_to_an_open_path(headers: dict[str, str], status: int) -> None:
    app = guarded(suites_policy(), "/validate", "/audit")

    for path in ("/validate", "/audit"):
        assert (await post_msgpack(app, path, **{"host": "localhost:8000", **headers})).status == status


async def test_where_a_token_is_always_needed_this_machine_needs_it_too() -> None:
    without, with_token = guarded(suites_policy()), guarded(suites_policy("secret"))
    bearer = JSON | {"authorization": "Bearer secret"}

    refused = await ask(without, "PUT", "/suites/trade", headers=bearer)
    assert (refused.status, refused.detail) == (403, SUITES_CLOSED)
    assert (await ask(with_token, "PUT", "/suites/trade", headers=JSON)).status == 403
    assert (await ask(with_token, "PUT", "/suites/trade", headers=bearer)).status == 200
    assert (await ask(without, "GET", "/suites/trade")).status == 200


async def test_where_it_is_not_this_machine_may_write_and_others_get_the_same_sentence() -> None:
    development, production = suites_policy(always_token=False), suites_policy(None, "production", always_token=False)

    assert (await ask(guarded(development), "PUT", "/suites/trade", headers=JSON)).status == 200
    elsewhere = await ask(guarded(development), "PUT", "/suites/trade", headers=JSON, address="192.0.2.7")
    assert (elsewhere.status, elsewhere.detail) == (403, SUITES_CLOSED)
    assert (await ask(guarded(production), "PUT", "/suites/trade", headers=JSON)).detail == SUITES_CLOSED


async def test_a_policy_without_a_sentence_of_its_own_tells_how_to_open_it() -> None:
    assert (await ask(guarded(policy("production")), "POST", "/control", headers=JSON)).detail == CLOSED
    assert CLOSED == (
        "Routes that write are closed until CONTROL_TOKEN is set (open without it only in development,"
        " from this machine)."
    )
