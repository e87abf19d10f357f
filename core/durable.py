"""Files and folders that are either whole or not there: written beside, fsynced, hashed, renamed.

Shared by everything that lasts (stores, checkpoints, bundles, predictions). `new_folder` is the usual way for a folder,
`write_json_durably` for a file. A full disk, a missing permission or a read-only place becomes a ResourceError that
names the path. Knows nothing of what the files mean.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.alive import lives
from core.errors import ConfigError, IntegrityError, ResourceError
from core.places import is_remote

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextmanager
def resources_named(path: Path | str) -> Iterator[None]:
    """Turns a full disk, a missing permission or a place that cannot be into a ResourceError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise ResourceError(
                f"no space left while writing {path}", hint="Free some space, then give the same command again."
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise ResourceError(
                f"cannot write {path}: {os.strerror(error.errno or 0)}", hint="Choose a place that you may write to."
            ) from error
        raise


@contextmanager
def one_at_a_time(lock: Path, said: str, hint: str) -> Iterator[None]:
    """Holds a lock file, which is gone afterwards. Raises ResourceError, `said`, where another process holds it."""
    from filelock import FileLock, Timeout

    held = FileLock(lock, timeout=0)
    try:
        with resources_named(lock.parent):
            held.acquire()
    except Timeout as error:
        raise ResourceError(said, hint=hint) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # a process that waits for nothing cannot be caught between
        held.release()


def fsync_path(path: Path) -> None:
    """Waits until the file, or the folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Every file below `folder`, then every folder. Raises ResourceError.

    Several at once, so that one commit of the journal serves many [60 small files: .23 s one by one, .02 s so].
    """
    places = [(Path(place), names) for place, _, names in os.walk(folder)]
    with resources_named(folder), ThreadPoolExecutor(8, thread_name_prefix="fsync") as threads:
        list(threads.map(fsync_path, [place / name for place, names in places for name in names]))
        list(threads.map(fsync_path, [place for place, _ in places]))


def write_files_durably(folder: Path, files: Mapping[str, bytes]) -> None:
    """Each file of `files` (relative path to content) has all of it, or is as it was before; folders are made.

    At a URL a file is put at once, and lasts as its service promises. Raises ResourceError.
    """
    if is_remote(folder):
        for name, data in files.items():
            with resources_named(folder / name):
                (folder / name).write_bytes(data)
        return
    touched: set[Path] = set()
    for name, data in files.items():
        path = folder / name
        partial = partial_beside(path)
        with resources_named(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(partial, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        touched.update(folder / parent for parent in Path(name).parents)
    for place in sorted(touched, reverse=True):
        with resources_named(place):
            fsync_path(place)


def write_bytes_durably(path: Path, data: bytes) -> None:
    """The file at `path` has all of `data`, or is as it was before. Raises ResourceError."""
    write_files_durably(path.parent, {path.name: data})


def json_bytes(value: Any) -> bytes:
    """The one spelling of `value` that is hashed and written: sorted keys, indented, no NaN, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json_durably(path: Path, value: Any) -> None:
    write_bytes_durably(path, json_bytes(value))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def read_json(path: Path, *, max_bytes: int = 2**28, constants: bool = False) -> Any:
    """Raises IntegrityError, naming the file, where it is missing, larger than `max_bytes`, or not JSON.

    With `constants`, Infinity and NaN are read as Python writes them.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise IntegrityError(f"{path} has {path.stat().st_size:,} bytes; at most {max_bytes:,} are read as JSON")
        return json.loads(path.read_bytes(), parse_constant=float if constants else _refuse_constant)
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is missing") from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: not JSON ({error})") from error


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(
    folder: Path,
    *,
    without: Collection[str] = ("MANIFEST.json", "manifest.json"),
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Relative path with `/` to `{sha256, size}` of every file below `folder`, except top-level names in `without`.

    Files that are `known` are not read again.
    """
    known = known or {}
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = {p.relative_to(folder).as_posix(): p for p in files}
    return {
        name: known[name] if name in known else {"sha256": file_digest(p), "size": p.stat().st_size}
        for name, p in names.items()
        if name not in without
    }


def check_manifest(folder: Path, files: Mapping[str, Any], *, hashes: bool = True) -> None:
    """Every file is there with its size and, with `hashes`, its sha256.

    Raises IntegrityError that names the first file that is not.
    """
    for name, expected in files.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise IntegrityError(f"{folder}: its manifest names a file outside of it: {name!r}")
        if not path.is_file():
            raise IntegrityError(f"{path} is missing", hint="Copy the folder again, or make it anew.")
        if path.stat().st_size != expected["size"]:
            raise IntegrityError(f"{path} has {path.stat().st_size:,} bytes, its manifest says {expected['size']:,}")
        if hashes and file_digest(path) != expected["sha256"]:
            raise IntegrityError(f"{path} is damaged: its sha256 is not the manifest's")


def partial_beside(final: Path) -> Path:
    """Where what will be `final` is written: in the same folder, named by this process."""
    return final.with_name(f"{final.name}.partial-{os.getpid()}")


def _remove_leftovers(final: Path) -> None:
    """What processes that were killed while they wrote `final` have left beside it."""
    for leftover in final.parent.glob(f"{glob.escape(final.name)}.partial-*"):
        owner = leftover.name.rpartition("-")[2]
        if owner.isdigit() and (int(owner) == os.getpid() or not lives(int(owner))):
            shutil.rmtree(leftover, ignore_errors=True)


def replace_folder(partial: Path, final: Path, *, overwrite: bool = False) -> None:
    """Makes `partial` durable and renames it to `final`; with `overwrite` what was there is removed afterwards.

    Raises ConfigError where `final` exists and may not be replaced, ResourceError where the disk refuses.
    """
    fsync_tree(partial)
    with resources_named(final):
        if final.exists() and not overwrite:
            raise ConfigError(f"{final} exists already", hint="Choose another place, or allow overwriting.")
        old = final.with_name(f"{final.name}.replaced-{os.getpid()}")
        if final.exists():
            os.rename(final, old)
        os.rename(partial, final)
        fsync_path(final.parent)
        if old.exists():
            shutil.rmtree(old)


@contextmanager
def new_folder(final: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into; it becomes `final` at the end of the block and is removed if the block fails.

    Raises ConfigError before any work where `final` exists and may not be replaced, and ResourceError where the disk
    refuses.
    """
    final = Path(final)
    if final.exists() and not overwrite:
        raise ConfigError(f"{final} exists already", hint="Choose another place, or allow overwriting.")
    partial = partial_beside(final)
    with resources_named(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(final)
        partial.mkdir()
        try:
            yield partial
            replace_folder(partial, final, overwrite=overwrite)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
