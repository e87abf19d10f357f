"""One Zarr group of a token store: its arrays, and what a damaged file of it costs.

Opened only after its manifest, its metadata and its files' sizes were found to be what was written. `READERS` says how
each format version is read; `TokenStore` puts one or many parts together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import zarr
from numpy.typing import NDArray

from core.durable import check_manifest, file_digest
from core.errors import IntegrityError
from core.sequence import TokenSpec
from core.store.layout import FORMAT_VERSION, TOKEN_FOLDERS, read_array_metadata, read_manifest, whole_folder


class TokenPart:
    """One Zarr group of format version 1: its arrays, and what a damaged file of it costs."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path, self.files = path, manifest["files"]
        self._group = zarr.open_group(whole_folder(path), mode="r", zarr_format=3)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self.attrs: dict[str, Any] = dict(self._group.attrs)
        self.spec = TokenSpec.from_config(self.attrs["spec"])
        self.shard_tokens = int(self.attrs["shard_tokens"])
        files = [name for name in self.files if name.endswith("/zarr.json")]
        metadata = {name.removesuffix("/zarr.json"): read_array_metadata(path / name) for name in files}
        self.shapes = {name: tuple(found["shape"]) for name, found in metadata.items() if found is not None}
        """Name to shape of every array; opening one takes Zarr 2 ms, so `array` does it when it is needed."""
        self.token_names = [name for name in self.shapes if name.partition("/")[0] in TOKEN_FOLDERS]
        self.offsets: NDArray[np.int64] = self.read("offsets")
        if not len(self.offsets):
            raise IntegrityError(f"{path}: it has no offsets")
        for name in self.token_names:
            if self.shapes[name][0] != self.offsets[-1]:
                raise IntegrityError(f"{path}: {name} has {self.shapes[name][0]} tokens, not {self.offsets[-1]}")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_tokens(self) -> int:
        return int(self.offsets[-1])

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(sorted(name.partition("/")[2] for name in self.shapes if name.startswith("labels/")))

    def __contains__(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self.shapes

    def array(self, name: str) -> zarr.Array[Any]:
        if name not in self._arrays:
            self._arrays[name] = cast("zarr.Array[Any]", self._group[name])
        return self._arrays[name]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        """Entries [start, stop) of an array. Raises IntegrityError where one of its files is not what was written."""
        array = self.array(name)
        try:
            return array[start : array.shape[0] if stop is None else stop]
        except (ValueError, RuntimeError, OSError, TypeError, KeyError, IndexError) as error:
            self._explain(name, start, array.shape[0] if stop is None else stop, error)

    def _explain(self, name: str, start: int, stop: int, error: Exception) -> NoReturn:
        array = self.array(name)
        size = (array.shards or array.chunks)[0]
        tail = "/0" * (array.ndim - 1)
        files = [f"{name}/c/{i}{tail}" for i in range(start // size, -(-stop // size))]
        damaged = [file for file in files if self.damage(file)]
        if damaged:
            raise IntegrityError(
                "\n".join(f"{self.path / file} is {self.damage(file)}: {self.cost(file)}" for file in damaged),
                hint="Copy the store again or prepare it anew; TokenStore.subset saves the other rows.",
            ) from error
        if isinstance(error, OSError):
            raise error
        raise IntegrityError(f"{self.path / name} cannot be read ({error}), though its files are whole") from error

    def damage(self, file: str) -> str:
        """What is wrong with one file; empty where it is what the manifest says."""
        path = self.path / file
        if file not in self.files:
            return "not in the manifest"
        if not path.is_file():
            return "missing"
        return "" if file_digest(path) == self.files[file]["sha256"] else "damaged: its sha256 is not the manifest's"

    def cost(self, file: str) -> str:
        """The rows that cannot be read without `file`."""
        match = re.fullmatch(r"(\w+(?:/\w+)?)/c/(\d+)(?:/0)?", file)
        name, index = (match[1], int(match[2])) if match else ("", 0)
        if name not in self or not hasattr(self, "offsets"):
            return "the store cannot be used without it"
        array = self.array(name)
        size = (array.shards or array.chunks)[0]
        start, stop = index * size, min((index + 1) * size, array.shape[0])
        if name in self.token_names:
            start = max(int(np.searchsorted(self.offsets, start, side="right")) - 1, 0)
            stop = int(np.searchsorted(self.offsets, stop, side="left"))
        elif name.partition("/")[0] not in ("ids", "group", "labels"):
            return "the store cannot be used without it"
        return f"it costs rows {start}..{stop - 1} of {len(self)} their {name}"


READERS: dict[int, Callable[[Path, Mapping[str, Any]], TokenPart]] = {1: TokenPart}
"""How each format version is read. A version stays here as long as there are stores of it."""


def open_part(path: Path, *, verify: str = "quick") -> TokenPart:
    """Opens one group; `verify` is as in `TokenStore.open`. The metadata's sha256 are always compared.

    Raises IntegrityError naming what is missing, damaged, of an unknown version or of a kind that is not read.
    """
    manifest = read_manifest(path)
    if manifest["format_version"] not in READERS:
        raise IntegrityError(
            f"{path} is of format version {manifest['format_version']}, this foretell reads {sorted(READERS)}",
            hint=f"Install a newer foretell; this one writes version {FORMAT_VERSION}.",
        )
    files = manifest["files"]
    if verify != "metadata":
        check_manifest(path, files, hashes=verify == "manifest")
    metadata = {name: entry for name, entry in files.items() if name.rpartition("/")[2] == "zarr.json"}
    check_manifest(path, metadata)
    return READERS[manifest["format_version"]](path, manifest)
