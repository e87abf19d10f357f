"""Members of wheels, source distributions and Debian packages as bytes, read with the standard library.

A .deb is an `ar` archive whose `data.tar.*` holds the files. Nothing is written, run or unpickled here.
"""

from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core.errors import IntegrityError, ResourceError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60


def read_members(archive: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Those of `wanted` (paths as the package spells them, without a leading `./`) that are in `archive`.

    Raises IntegrityError where it is damaged or of another kind, ResourceError where dpkg-deb is needed and missing.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                return {name: packed.read(name) for name in wanted if name in packed.NameToInfo}
        with open(archive, "rb") as file:
            if file.read(len(_AR_MAGIC)) == _AR_MAGIC:
                with _debian_files(archive, file) as tar:
                    return _from_tar(tar, wanted)
        with tarfile.open(archive) as tar:
            return _from_tar(tar, wanted)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise IntegrityError(f"{archive.name} is damaged: {error}", hint="Fetch it again.") from error


def _from_tar(tar: tarfile.TarFile, wanted: Collection[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in tar:
        name = entry.name.removeprefix("./")
        if name in wanted and entry.isfile():
            content = tar.extractfile(entry)
            if content is not None:
                found[name] = content.read()
            if len(found) == len(wanted):
                break
    return found


@contextmanager
def _debian_files(archive: Path, file: BinaryIO) -> Iterator[tarfile.TarFile]:
    """The tar of installed files inside a .deb; `file` stands after the archive's magic."""
    while header := file.read(_AR_HEADER):
        # ar header: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2; members begin at even places
        if len(header) < _AR_HEADER or header[58:] != b"`\n":
            break
        name, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])
        if name == "data.tar.zst":
            # zstd is in the standard library from Python 3.14 only; where such packages come from there is dpkg.
            with _by_dpkg(archive) as tar:
                yield tar
            return
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(file.read(size)), mode="r:*") as tar:
                yield tar
            return
        file.seek(size + size % 2, 1)
    raise IntegrityError(f"{archive.name} is damaged: no data.tar in it", hint="Fetch it again.")


@contextmanager
def _by_dpkg(archive: Path) -> Iterator[tarfile.TarFile]:
    if shutil.which("dpkg-deb") is None:
        raise ResourceError(f"{archive.name} is packed with zstd, which needs dpkg-deb", hint="Install dpkg.")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                yield tar
        finally:
            process.kill()
