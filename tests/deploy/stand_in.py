"""A stand-in for the base image where no registry is reached: this machine's own Debian packages around its Python.

It proves our Dockerfile, not the real base image. Copying takes two seconds where debootstrap takes fifty.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PYTHON = Path("/usr/bin/python3")
"""Debian's own; pyenv's and others are no packages."""

NEEDED = ("python3-venv", "ca-certificates", "passwd", "apt")
"""apt is in every Debian image, and with it the library of C++."""

LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/")
LINKS = ("/bin", "/sbin", "/lib", "/lib64")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PASSWORDS = Path("/usr/share/base-passwd")
"""Accounts of a fresh Debian, without those that this machine has added."""


def make_stand_in(archive: Path) -> None:
    """Write the archive of a root file system that has `sh`, `useradd`, `python` and authorities."""
    # /usr before what leads into it; a path may come once only.
    listed = "\n".join(dict.fromkeys(["/usr", *LINKS, *_files(_packages()), CERTIFICATES]))
    packing = ["tar", "-C", "/", "--no-recursion", "-cf", str(archive), "-T", "-"]
    subprocess.run(packing, input=listed, text=True, check=True, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for account in ("passwd", "group"):
            (folder / "etc").mkdir(exist_ok=True)
            shutil.copy(PASSWORDS / f"{account}.master", folder / "etc" / account)
        python = folder / "usr" / "local" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.symlink_to(PYTHON)
        files = ["etc/passwd", "etc/group", "usr/local/bin/python"]
        subprocess.run(["tar", "-C", folder, "-rf", archive, *files], check=True)


def _packages() -> list[str]:
    """What every Debian has, what is needed here, and all that those depend on."""
    shown = _output("dpkg-query", "-W", "-f", "${Package} ${Essential}\n").splitlines()
    essential = [line.split()[0] for line in shown if line.endswith(" yes")]
    kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    options = ["--recurse", "--installed", *(f"--no-{kind}" for kind in kinds)]
    depends = _output("apt-cache", "depends", *options, *essential, *NEEDED)
    named = {line for line in depends.splitlines() if line[:1].isalnum()}
    installed = {line.split()[0] for line in shown}
    return sorted(named & installed)


def _files(packages: list[str]) -> list[str]:
    """Their files by canonical path: the packages still say /bin/sh where that is /usr/bin/sh."""
    found = set()
    for path in _output("dpkg", "-L", *packages).splitlines():
        if path.startswith("/") and path != "/." and not f"{path}/".startswith(LEFT_OUT):
            parent, name = os.path.split(path)
            canonical = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118 - thousands of them
            if canonical not in LINKS and os.path.lexists(canonical):
                found.add(canonical)
    return sorted(found)


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
