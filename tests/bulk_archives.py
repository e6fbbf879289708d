"""Published files as the exchange packs them, for tests that read such files."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from data_collector.model.published import BulkFile


def zipped(*members: tuple[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these names and contents."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return content.getvalue()


def csv_name(file: BulkFile) -> str:
    return f"{file.name.removesuffix('.zip')}.csv"


def with_checksum(file: BulkFile, archive: bytes) -> dict[str, bytes]:
    """Path to content of an archive and its checksum."""
    stated = f"{hashlib.sha256(archive).hexdigest()}  {file.name}\n".encode()
    return {file.path: archive, f"{file.path}.CHECKSUM": stated}


def published(file: BulkFile, csv: str | bytes) -> dict[str, bytes]:
    """Path to content of a good file with these rows."""
    return with_checksum(file, zipped((csv_name(file), csv)))


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files under a folder as the site has them."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder
