"""Places: a path on this machine, or a URL that fsspec knows (s3://, gs://, memory://), asked in the same words.

`place` gives a `Path` for the first and for the second a `Remote`, which answers what stores and their readers ask of a
Path. A file at a URL is put as a whole or not at all; there are no folders, no renames and no locks there. What a
protocol needs beside fsspec (s3fs, gcsfs) is the user's to install.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

from core.errors import ConfigError

if TYPE_CHECKING:
    from zarr.abc.store import Store


def cache_folder() -> Path:
    """Where is kept what is fetched or made once and used again: `FORETELL_CACHE`, or ~/.cache/foretell."""
    return Path(os.environ.get("FORETELL_CACHE") or Path.home() / ".cache" / "foretell").expanduser()


def place(where: str | os.PathLike[str] | Remote) -> Path:
    """The place that a text names; a Remote is typed as the Path that it answers like.

    Raises ConfigError for a URL of a protocol that is unknown, or whose package is not installed.
    """
    if isinstance(where, Remote):
        return cast(Path, where)
    text = os.fspath(where)
    if isinstance(where, str) and text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    if not isinstance(where, str) or "://" not in text:
        return Path(text)
    protocol = text.partition("://")[0]
    try:
        import fsspec

        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise ConfigError(f"{text}: {error}", hint="Install the package that brings this protocol to fsspec.") from None
    except ValueError as error:
        raise ConfigError(f"{text}: {error}", hint="A path, or a URL as s3://bucket/name.zarr.") from error
    return cast(Path, Remote(text.rstrip("/")))


def is_remote(where: Path) -> bool:
    """Whether a place is a URL."""
    return isinstance(where, Remote)


def zarr_store(where: Path) -> Store:
    """What Zarr reads a place through."""
    from zarr.storage import FsspecStore, LocalStore

    remote: object = where
    if isinstance(remote, Remote):
        return FsspecStore.from_url(remote.url, read_only=True)
    return LocalStore(where, read_only=True)


@dataclass(frozen=True)
class Remote:
    """A file, or what lies below a name, at a URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str | PurePosixPath) -> Remote:
        return Remote(f"{self.url}/{name}")

    def __lt__(self, other: Remote) -> bool:
        return self.url < other.url

    @property
    def _found(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(self.url)  # fsspec keeps one of each kind
        return fs, path

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Remote:
        return Remote(self.url.rpartition("/")[0])

    @property
    def shared(self) -> bool:
        """Whether other processes see what is there."""
        return not self.url.startswith("memory://")

    def with_name(self, name: str) -> Remote:
        return self.parent / name

    def resolve(self) -> Remote:
        return self

    def exists(self) -> bool:
        fs, path = self._found
        fs.invalidate_cache()  # somebody else may have written it
        return bool(fs.exists(path))

    def is_file(self) -> bool:
        fs, path = self._found
        return bool(fs.isfile(path))

    def is_dir(self) -> bool:
        fs, path = self._found
        return bool(fs.isdir(path))

    def stat(self) -> os.stat_result:
        """Its size is all that is known of it. Raises FileNotFoundError."""
        fs, path = self._found
        return os.stat_result((0, 0, 0, 0, 0, 0, int(fs.size(path)), 0, 0, 0))

    def open(self, mode: str = "r", encoding: str | None = None) -> IO[Any]:
        fs, path = self._found
        return cast("IO[Any]", fs.open(path, mode, **({} if "b" in mode else {"encoding": encoding or "utf-8"})))

    def read_bytes(self) -> bytes:
        fs, path = self._found
        return bytes(fs.cat_file(path))

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes, *, new: bool = False) -> int:
        """Puts the whole file at once. Raises FileExistsError where it must be `new` and is not."""
        fs, path = self._found
        with contextlib.suppress(NotImplementedError):
            fs.makedirs(fs._parent(path), exist_ok=True)
        fs.pipe_file(path, data, mode="create" if new else "overwrite")
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        fs, path = self._found
        try:
            fs.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rglob(self, pattern: str) -> Iterator[Remote]:
        """Every file below it whose name matches."""
        fs, path = self._found
        for found in sorted(fs.find(path)):
            if fnmatch.fnmatch(found.rpartition("/")[2], pattern):
                yield self / found.removeprefix(path).lstrip("/")

    def glob(self, pattern: str) -> Iterator[Remote]:
        """What lies right below it and matches, folders included."""
        fs, path = self._found
        for found in sorted(fs.ls(path, detail=False)) if fs.isdir(path) else []:
            name = found.rstrip("/").rpartition("/")[2]
            if fnmatch.fnmatch(name, pattern):
                yield self / name

    def relative_to(self, other: Remote) -> PurePosixPath:
        return PurePosixPath(self.url.removeprefix(other.url).lstrip("/"))
