"""`data-collector validation-service`: the Data Validation Service as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from data_collector.cli.surroundings.beside import (
    ParentOption,
    ParentPidOption,
    PortFileOption,
    end_with_parent,
    write_ports,
)
from data_collector.embedded.lock import prepare_directory
from data_collector.model.errors import Misconfigured
from data_collector.observe.logs import configure_logs
from data_collector.settings import Settings, is_loopback, load_settings
from data_collector.validation.auditing.audit_worker import AuditWorker
from data_collector.validation.service import Options, serve
from data_collector.validation.service.context import DOCS_EVERY_S
from data_collector.web.serving import Spelling, base_url, listen

_SPELLING: Final = Spelling(host="--host ", port="--port ", port_proposed=8000)

HostOption = Annotated[str, typer.Option(help="Address to listen on. HOST and PORT are the collector's.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
FolderOption = Annotated[
    Path | None, typer.Option(help="Its own files: past suites, Data Docs. Default: validation-service in VAR_DIR.")
]
DocsOption = Annotated[float, typer.Option(min=1.0, help="Seconds between two builds of the Data Docs.")]


def validation_service(
    *,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    folder: FolderOption = None,
    docs_every_s: DocsOption = DOCS_EVERY_S,
    port_file: PortFileOption = None,
    exit_with_parent: ParentOption = False,
    parent: ParentPidOption = 0,
) -> None:
    """Serve the Data Validation Service, until Ctrl-C: it judges records, audits collectors, keeps the suites.

    Settings: CONTROL_TOKEN, SUITES_DIR, ENVIRONMENT, ALLOWED_HOSTS and VAR_DIR.
    """
    configure_logs()
    settings = load_settings()
    _refuse_open_door(host, settings)
    if exit_with_parent:
        end_with_parent(parent)
    options = _options(settings, folder, docs_every_s)
    with listen(host, port, _SPELLING) as listener:
        prepare_directory(options.folder)
        url = base_url(listener)
        if port_file is not None:
            write_ports(port_file, {"url": url})
        _tell(url, settings)
        raise typer.Exit(serve(listener, options, AuditWorker))


def _options(settings: Settings, folder: Path | None, docs_every_s: float) -> Options:
    return Options(
        # Great Expectations takes no relative path.
        folder=(folder or settings.var_dir / "validation-service").absolute(),
        suites_dir=settings.suites_dir,
        environment=settings.environment,
        token=settings.token,
        allowed_hosts=settings.allowed_hosts,
        docs_every_s=docs_every_s,
    )


def _refuse_open_door(host: str, settings: Settings) -> None:
    name = host.strip().removeprefix("[").removesuffix("]").lower()
    if is_loopback(name) or settings.control_token is not None or settings.data_collector_image:
        return
    raise Misconfigured(
        f"--host {host}: others can reach this address, so CONTROL_TOKEN must be set"
        " (openssl rand -hex 32 makes one); or use --host 127.0.0.1"
    )


def _tell(url: str, settings: Settings) -> None:
    for notice in settings.notices:
        print(notice)
    print(f"The validation service is listening on {url}")
    print("Point the collector at it with:")
    print(f"  export VALIDATION_SERVICE_URL={url}")
    print(f"Suites: {url}/suites  Data Docs: {url}/docs-site/  End: Ctrl-C", flush=True)
