"""A container engine for tests: podman as Debian packages it, with images and containers in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.stand_in import PYTHON, make_stand_in

BASE = "docker.io/library/python:3.11-slim-bookworm"
IMAGE = "btc-data-collector"
PACKAGES = ("podman", "runc", "netavark", "aardvark-dns", "iptables", "python3-venv")
PROGRAMS = ("podman", "runc", "iptables", "/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns")
FOLDER = Path(tempfile.gettempdir()) / "data-collector-engine"
"""Kept from run to run: a second build takes seconds."""

STAND_IN = Path(__file__).parent / "stand_in.py"
BUILD_S = 600.0
ROOM_BYTES = 3 * 1024**3
"""A build takes 2.6 GB for some seconds, and the image that stays 0.8."""

_ENOUGH_PROCESSES = 4096


class Engine:
    """`podman`, word for word as people type `docker`; what it started is gone with `end`."""

    def __init__(self) -> None:
        self._environment = {**os.environ, **_settings()}
        self._name = f"dc-{uuid.uuid4().hex[:8]}"
        self._containers: list[str] = []
        self._volumes: list[str] = []
        self._image = IMAGE
        self._ask("network", "create", self._name)

    def refusal(self) -> str | None:
        """Why a container cannot be run on a network of its own, whatever is in it; None when it can."""
        self._import_base()
        tried = self._ask("run", "--rm", "--network", self._name, BASE, "true")
        return None if tried.returncode == 0 else tried.stderr.strip()[-500:]

    def build(self, context: Path) -> None:
        """`docker build`, which pulls nothing; an image of the very same files is kept from another run."""
        self._image = f"{IMAGE}:{_digest_of(context)}"
        if self._ask("image", "exists", self._image).returncode == 0:
            return
        self._remove_cut_off_builds()
        # Not what a run beside this one has just made.
        self._ask("image", "prune", "--all", "--force", "--filter", "until=2h")
        self._import_base()
        free = shutil.disk_usage(FOLDER).free
        assert free >= ROOM_BYTES, f"{FOLDER} has {free / 1024**3:.1f} GiB left; {ROOM_BYTES / 1024**3:.0f} are needed"
        # chroot: an isolation that needs no control groups. Without layers a first build takes a third less. The new
        # layer is written twice before it is unpacked, so it is packed meanwhile: a third of its size.
        options = (
            *("--isolation", "chroot", "--network", "host", "--format", "docker", "--layers=false", "--pull=never"),
            "--disable-compression=false",
        )
        self._run("build", *options, "-t", self._image, ".", folder=context, deadline_s=BUILD_S)

    def volume(self, purpose: str) -> str:
        """What `-v` takes for a volume of this run at the place that the image means for it."""
        self._volumes.append(f"{self._name}-{purpose}")
        return f"{self._volumes[-1]}:/var/lib/data-collector"

    def start(self, alias: str, *options: str, command: Sequence[str] = ()) -> str:
        """`docker run -d` on a network of our own, where the others find it as `alias`; its name."""
        name = f"{self._name}-{alias}"
        self._containers.append(name)
        network = ("--network", self._name, "--network-alias", alias)
        self._run("run", "-d", "--name", name, *network, *options, self._image, *command)
        return name

    def inside(self, name: str, *words: str) -> str:
        """What a command in a running container prints."""
        return self._run("exec", name, *words)

    def once(self, *words: str) -> str:
        """What a command prints in a container that it is the only process of."""
        return self._run("run", "--rm", "--network", "none", self._image, *words)

    def is_healthy(self, name: str) -> bool:
        """What the image's own check says."""
        return self._ask("healthcheck", "run", name).returncode == 0

    def address(self, name: str, port: int) -> str:
        """Where a published port is found on this machine, as host and port."""
        return self._run("port", name, f"{port}/tcp").strip()

    def output(self, name: str) -> str:
        """All that it wrote so far."""
        logged = self._ask("logs", name)
        return logged.stdout + logged.stderr

    def exit_code(self, name: str) -> int | None:
        """None while it runs."""
        state = json.loads(self._run("container", "inspect", name))[0]["State"]
        return int(state["ExitCode"]) if state["Status"] == "exited" else None

    def stop(self, name: str) -> int:
        """SIGTERM, and SIGKILL 20 s later; the exit code."""
        self._run("stop", "-t", "20", name)
        code = self.exit_code(name)
        assert code is not None
        return code

    def image(self) -> dict[str, dict[str, object]]:
        """What the image says of itself."""
        described: list[dict[str, dict[str, object]]] = json.loads(self._run("image", "inspect", self._image))
        return described[0]

    def end(self) -> None:
        """Remove containers, their volumes and the network."""
        self._ask("rm", "--force", "--volumes", "--time", "2", *self._containers)
        self._ask("volume", "rm", "--force", *self._volumes)
        self._ask("network", "rm", "--force", self._name)

    def _remove_cut_off_builds(self) -> None:
        """What builds have left that did not end, 1.5 GB each; none that still runs is as old."""
        listed = json.loads(self._run("ps", "--all", "--external", "--format", "json"))
        oldest = time.time() - BUILD_S
        left = [each["Id"] for each in listed if each["State"] == "storage" and each["Created"] < oldest]
        if left:
            self._ask("rm", "--force", *left)

    def _import_base(self) -> None:
        """Make the base image, unless one by the same rules is kept from another run."""
        kept = f"localhost/stand-in:{hashlib.sha256(STAND_IN.read_bytes()).hexdigest()[:12]}"
        if self._ask("image", "exists", kept).returncode != 0:
            archive = FOLDER / "base.tar"
            make_stand_in(archive)
            self._run("import", "--change", 'CMD ["python"]', str(archive), kept)
            archive.unlink()
        self._run("tag", kept, BASE)

    def _run(self, *words: str, folder: Path | None = None, deadline_s: float = 90.0) -> str:
        ended = self._ask(*words, folder=folder, deadline_s=deadline_s)
        assert ended.returncode == 0, f"podman {' '.join(words)}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}"
        return ended.stdout

    def _ask(
        self, *words: str, folder: Path | None = None, deadline_s: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *words], cwd=folder, env=self._environment, capture_output=True, text=True, check=False,
            timeout=deadline_s,
        )  # fmt: skip


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine whose containers are gone with the block; `install_engine` has been asked before."""
    running = Engine()
    try:
        yield running
    finally:
        running.end()


def install_engine() -> str | None:
    """Make podman usable and return why it could not be."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "building and running images takes root on Debian or Ubuntu, where podman is installed by apt-get"
    if not PYTHON.exists() or any(shutil.which(program) is None for program in PROGRAMS):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-q"], ["install", "-yq", "--no-install-recommends", *PACKAGES]):
            ended = subprocess.run(["apt-get", *words], env=environment, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            return f"apt-get could not install podman: {ended.stderr[-500:]}"
    return None


def _digest_of(context: Path) -> str:
    """Of everything that an image is made of: the files of `context`, and the rules of the base image."""
    digest = hashlib.sha256(STAND_IN.read_bytes())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(context)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _settings() -> dict[str, str]:
    """Variables that keep podman in our folder, and to what a container inside a container can do."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    assert FOLDER.stat().st_uid == os.geteuid(), f"{FOLDER} belongs to somebody else"
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Without these it would raise the limits, which root may not everywhere.
    limits = f'["nofile={files}:{files}", "nproc={_ENOUGH_PROCESSES}:{_ENOUGH_PROCESSES}"]'
    containers, storage = FOLDER / "containers.conf", FOLDER / "storage.conf"
    containers.write_text(
        f'[containers]\ndefault_ulimits = {limits}\nlog_driver = "k8s-file"\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nruntime = "runc"\n'
    )
    storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{FOLDER}/images"\nrunroot = "{FOLDER}/running"\n')
    return {"CONTAINERS_CONF": str(containers), "CONTAINERS_STORAGE_CONF": str(storage)}
