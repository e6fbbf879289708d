"""Certificates that cannot be trusted, and TLS that is too old: refused, and never downgraded."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from data_collector.model.errors import VenueUnreachable
from data_collector.pipeline.connections.transport import failure_label
from tests.integration.raw_peer import opened, peer, saying

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """Makes certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "ca.crt"
        self._key = folder / "ca.key"
        self._run(
            "req", "-x509", *KEY, "-days", "2", "-subj", "/CN=ours", "-keyout", self._key, "-out", self.certificate
        )

    def context(self, name: str = "localhost", *, days: int = 2, signed: bool = True) -> ssl.SSLContext:
        """A server's side with a certificate made out for `name`."""
        key, request, certificate = (self._folder / f"server.{end}" for end in ("key", "csr", "crt"))
        names = self._folder / "names"
        names.write_text(f"subjectAltName=DNS:{name}")
        self._run("req", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signer: list[str | Path]
        signer = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"] if signed else ["-signkey", key]
        self._run(
            "x509", "-req", "-in", request, *signer, "-days", str(days), "-extfile", names, "-out", certificate
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _run(self, *words: str | Path) -> None:
        subprocess.run(["openssl", *words], capture_output=True, check=True, cwd=self._folder)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that is trusted in this test."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    return authority


async def test_good_certificate_is_trusted(authority: Authority) -> None:
    received: list[bytes] = []
    async with peer(saying(b"\x81\x02{}"), tls=authority.context()) as url:
        socket = await opened(url, received)
        while not received:
            assert await socket.wait_ended(0.01) is None

        ends_s = socket.certificate_ends_s
        assert ends_s is not None
        assert 86_400 < ends_s - time.time() <= 2 * 86_400
        socket.close("stop")


async def test_without_tls_no_certificate_is_known() -> None:
    async with peer() as url:
        socket = await opened(url)

        assert socket.certificate_ends_s is None
        socket.close("stop")


async def test_expired_certificate_is_refused(authority: Authority) -> None:
    context = authority.context(days=0)
    async with peer(tls=context) as url:
        with pytest.raises(VenueUnreachable, match=r"cannot be trusted \(certificate has expired\)") as refusal:
            await opened(url)
    assert failure_label(refusal.value) == "tls"


async def test_certificate_of_another_host_is_refused(authority: Authority) -> None:
    async with peer(tls=authority.context("exchange.invalid")) as url:
        with pytest.raises(VenueUnreachable, match=r"cannot be trusted .*mismatch"):
            await opened(url)


async def test_certificate_that_nobody_signed_is_refused(authority: Authority) -> None:
    async with peer(tls=authority.context(signed=False)) as url:
        with pytest.raises(VenueUnreachable, match=r"cannot be trusted .*self-signed"):
            await opened(url)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_old_tls_is_refused(authority: Authority) -> None:
    context = authority.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with peer(tls=context) as url:
        with pytest.raises(VenueUnreachable, match="cannot connect"):
            await opened(url)
