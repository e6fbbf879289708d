"""The image, built by an engine and run as the documents say: with names that resolve and names that do not."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_collector import __version__
from tests.conftest import NO_CONTAINERS
from tests.deploy.engine import Engine, engine, install_engine
from tests.docs.tree import ROOT, read
from tests.integration.processes import get_json
from tests.integration.store_reader import Store
from tests.integration.waiting import DEADLINE_S, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SENT = ("Dockerfile", ".dockerignore", "requirements.txt", "LICENSE", "NOTICE", "api.py", "collector.py", "README.md")
PLANTED = (".env", "data_collector/.env", "var/spool", "data_collector/var/spool", ".git/config", "tests/planted")
SECRET = "BINANCE_API_SECRET=planted"
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
STORE_WAIT_S = 90.0  # a store that is not there is waited for for 60 s
START_S = 90.0  # two Pythons and Great Expectations, beside everything else
SERVED = ("-e", "BINANCE_WS_URL=ws://exchange:19443", "-e", "BINANCE_REST_URL=http://exchange:19080")
SERVER = "from data_collector.embedded.binary import server_binary; print(server_binary())"
VALKEY = f'cd "$HOME" && exec "$(python -c "{SERVER}")" "$@"'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the image, built from a folder in which there are secrets too."""
    reason = install_engine()
    if reason is not None:
        pytest.skip(reason)
    context = tmp_path_factory.mktemp("context")
    for name in SENT:
        shutil.copy2(ROOT / name, context)
    shutil.copytree(ROOT / "data_collector", context / "data_collector", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("var", ".git", "tests", "data_collector/var"):
        (context / folder).mkdir()
    for name in (
        ".env",
        "data_collector/.env",
        "var/spool",
        "data_collector/var/spool",
        ".git/config",
        "tests/planted",
    ):
        (context / name).write_text(SECRET)
    with engine() as running:
        if (refusal := running.refusal()) is not None:
            pytest.skip(f"{NO_CONTAINERS}: {refusal}")
        running.build(context)
        yield running


@pytest.fixture(scope="module")
def storeless(built: Engine) -> str:
    """The collector as documented, where nobody has the name `redis`; begun early, because it waits for a minute."""
    return built.start("storeless", *documented_options(), "-e", "REDIS_URL=redis://nowhere:6379")


@pytest.fixture(scope="module")
def market(built: Engine, storeless: str) -> Store:
    """An exchange as `exchange` and a store as `redis`; a client of the store."""
    assert storeless
    names = ("--symbols", "BTCUSDT,ETHUSDT", "--trades-per-s", "20")
    built.start("exchange", command=("data-collector", "simulate", "--host", "0.0.0.0", *names))
    flags = ("--bind", "0.0.0.0", "--protected-mode", "no", "--save", "")
    redis = built.start("redis", "-p", "127.0.0.1::6379", command=("sh", "-c", VALKEY, "valkey", *flags))
    store = Store(f"redis://{built.address(redis, 6379)}/0")
    until(store.answers, "an answer of the store", output=lambda: built.output(redis))
    return store


def test_image_tells_how_it_is_to_be_run(built: Engine) -> None:
    image = built.image()
    config = image["Config"]

    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"] == {"8001/tcp": {}}
    assert config["Volumes"] == {"/var/lib/data-collector": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Cmd"] == ["data-collector", "run"]
    assert "Entrypoint" not in config
    assert "/health/live" in str(image["Healthcheck"]["Test"])
    assert image["Labels"]["org.opencontainers.image.version"] == __version__


def test_image_holds_the_service_and_nothing_that_lies_beside_it(built: Engine) -> None:
    listing = built.once("sh", "-c", "ls -A /app; echo; find /app /var/lib/data-collector -name .env -o -name var")
    tools = built.once("sh", "-c", "ls /opt/venv/bin; command -v gcc make git curl || true")

    names, _, found = listing.partition("\n\n")
    assert names.split() == ["LICENSE", "NOTICE", "api.py", "collector.py", "data_collector"]
    assert found.strip() == ""
    assert not {"pip", "gcc", "make", "git", "curl"} & {Path(word).name for word in tools.split()}
    assert SECRET not in json.dumps(built.image())
    assert built.once("python", "-c", "import great_expectations, pandas, pyarrow, asyncpg, uvloop") == ""


def test_documented_command_stores_trades_and_keeps_writing_routes_closed(built: Engine, market: Store) -> None:
    name = built.start("data-collector", *documented_options(), *SERVED)
    url = f"http://{built.address(name, 8001)}"

    until(lambda: stored(market) >= 20, "trades in the store", deadline_s=START_S, output=lambda: built.output(name))
    health = until_healthy_but_for(built, name, "http://data-validation:8000")

    assert health["environment"] == "production"
    assert health["status"] == "degraded"
    assert health["collector_running"] is True
    assert refusal(f"{url}/control", {"action": "stop"}) == 403
    assert built.is_healthy(name)
    assert built.inside(name, "id", "-u").strip() == "10001"
    assert built.inside(name, "sh", "-c", "grep -l 'State:.Z' /proc/[0-9]*/status || true") == ""
    assert built.stop(name) == 0


def test_read_only_root_with_a_volume_and_no_rights_at_all_is_enough(built: Engine, market: Store) -> None:
    service = built.start(
        "data-validation", *HARDENED, "-p", "127.0.0.1::8000", "-v", built.volume("suites"),
        command=("data-collector", "validation-service", "--host", "0.0.0.0"),
    )  # fmt: skip
    name = built.start("hardened", *documented_options(), *SERVED, *HARDENED, "-v", built.volume("spool"))
    before = stored(market)

    until(lambda: stored(market) >= before + 20, "more trades", deadline_s=START_S, output=lambda: built.output(name))
    health = until_healthy_but_for(built, name)
    service_url = f"http://{built.address(service, 8000)}/health"
    until(
        lambda: '"up"' in json.dumps(get_json(service_url)["worker"]), "Great Expectations",
        deadline_s=START_S, output=lambda: built.output(service),
    )  # fmt: skip

    assert health["status"] == "healthy"
    assert "Traceback" not in built.output(name) + built.output(service)
    assert built.inside(name, "stat", "-c", "%u %a", "/var/lib/data-collector/live/spool").split() == ["10001", "700"]
    assert "Read-only file system" in built.inside(name, "sh", "-c", "touch /app/x 2>&1 || true")
    assert re.search(r"CapBnd:\s+0+\n", built.inside(name, "cat", "/proc/1/status"))
    assert (built.stop(name), built.stop(service)) == (0, 0)


def test_store_that_no_name_leads_to_is_told_and_ends_the_container(
    built: Engine, storeless: str, market: Store
) -> None:
    assert market.answers()
    if built.exit_code(storeless) is None:
        health = get_json(f"http://{built.address(storeless, 8001)}/health")
        assert health["status"] == "unhealthy"

    code = until(lambda: built.exit_code(storeless), "its end", deadline_s=STORE_WAIT_S)

    assert code == 69
    assert "unset REDIS_URL for the embedded server" in built.output(storeless)


def documented_options() -> list[str]:
    """Those of `docker run` in docs/containers.md, but for the name, and with a free port of this machine."""
    block = read("docs/containers.md").partition("```sh")[2].partition("```")[0]
    command = re.search(
        r"^docker run (-d --name data-collector .+) btc-data-collector$", block, re.MULTILINE | re.DOTALL
    )
    assert command is not None
    words = shlex.split(command[1].replace("\\\n", " ").replace("-p 8001:8001", "-p 127.0.0.1::8001"))
    return words[words.index("data-collector") + 1 :]


def until_healthy_but_for(built: Engine, name: str, *expected: str) -> dict[str, object]:
    """The health of a container once it has as many reasons as there are `expected`, each with its word."""
    url = f"http://{built.address(name, 8001)}/health"
    seen: list[object] = []

    def ask() -> dict[str, object] | None:
        health = get_json(url)
        reasons = health["reasons"]
        seen.append(reasons)
        assert isinstance(reasons, list)
        found = len(reasons) == len(expected) and all(word in str(reasons) for word in expected)
        return health if found else None

    return until(ask, f"health with {expected}", deadline_s=START_S, output=lambda: f"{seen[-1:]} {built.output(name)}")


def stored(store: Store) -> int:
    """How many trades of both symbols the store holds."""
    return sum(int(str(store.ask("XLEN", f"trades:{symbol}"))) for symbol in ("BTCUSDT", "ETHUSDT"))


def refusal(url: str, body: object) -> int:
    """The status with which a POST is refused."""
    request = urllib.request.Request(  # noqa: S310 - our own address
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=DEADLINE_S)  # noqa: S310 - our own address
    with refused.value as answer:
        return answer.code
