"""Rows of raw files: read once by the domain's own reader, encoded, and kept beside the output until it is complete.

Records of files can only be read in order, so the process that plans goes through them once and writes
`OUTPUT.input/`: a token store and the list of what was refused. A refused record keeps its row, without tokens. Too
many end the work; the list of them is `OUTPUT.rejects.jsonl` then. The folder is a function of the files, the keys and
the tokenizer; where it is gone it is made anew.
"""

from __future__ import annotations

import glob
import hashlib
import json
import math
import re
import shutil
from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.durable import file_digest, json_bytes, new_folder, read_json, resources_named, write_json_durably
from core.engine import empty_sequence
from core.errors import ConfigError, InputError, IntegrityError, RecordError, nearest_path
from core.ingest import RecordSource, rejects_path
from core.pairs import Pairs
from core.prediction.input import EncodedRows, Reader, Refusal
from core.prediction.input.arrays import one_sequence
from core.prediction.input.store import StoreInput
from core.rejects import Ledger, Reject
from core.sequence import TokenSpec
from core.store import TokenStore, TokenStoreWriter
from core.tokenizer import describe

TOKENS, REJECTED, SOURCE = "tokens.zarr", "rejects.jsonl", "source.json"
BESIDE = ".input"
"""The folder is called by the output's name and this."""


def hash_files(given: Several[Path]) -> dict[str, str]:
    """sha256 of every file behind files, folders and patterns, by its name below the folder that was given.

    Raises InputError where nothing is there.
    """
    found: dict[str, Path] = {}
    for path in given:
        if path.is_dir():
            found |= {f.relative_to(path).as_posix(): f for f in sorted(path.rglob("*")) if f.is_file()}
        elif path.is_file():
            found[path.name] = path
        else:
            found |= {Path(name).name: Path(name) for name in sorted(glob.glob(str(path), recursive=True))}
    if not found:
        guess = nearest_path(given[0]) if len(given) == 1 else ""
        raise InputError(
            f"input: there is nothing at {', '.join(map(str, given))}{guess}",
            hint="A token store, a Zarr group, or files of your own.",
        )
    return {name: file_digest(path) for name, path in found.items()}


def identity_of(files: Mapping[str, str], options: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """What the rows are a function of."""
    told = {key: _in_json(value) for key, value in options.items()}
    made = {"files": dict(files), "options": told, "tokenizer": describe(reader.tokenizer)["fingerprint"]}
    return {
        "kind": "files",
        "options": told,
        "fingerprint": hashlib.sha256(json_bytes(made)).hexdigest(),
        "files": {name: digest[:16] for name, digest in files.items()},
    }


def _in_json(value: Any) -> Any:
    """The value, with the numbers that JSON lacks by their names: what a file calls missing may be `inf`."""
    if isinstance(value, list | tuple):
        return [_in_json(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_files(
    folder: Path,
    given: Several[Path],
    options: Mapping[str, Any],
    reader: Reader,
    *,
    domain: str,
    max_bad: float = 0.01,
) -> FilesInput:
    """The files as an input, read into `folder` where it does not hold just them already.

    Raises:
        ConfigError: an unknown key, or files of this kind are not read.
        InputError: nothing is there, damage to a file, or more than the share `max_bad` of the records are refused;
            these are listed in `OUTPUT.rejects.jsonl`.
        ResourceError: the disk refuses.
    """
    if reader.source is None:
        raise ConfigError("input: raw files are read by a domain, and none was given")
    identity = identity_of(hash_files(given), options, reader)
    with resources_named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f"{folder.name}.lock")
    with FileLock(lock):
        try:
            if not _is_there(folder, identity):
                source = _opened(reader, given, options)
                rejects = rejects_path(folder.with_name(folder.name.removesuffix(BESIDE)))
                with new_folder(folder, overwrite=True) as partial:
                    _write(partial, source, reader, identity, domain, max_bad, rejects)
        finally:
            lock.unlink(missing_ok=True)
    return FilesInput.open(folder, identity["fingerprint"])


def _opened(reader: Reader, given: Several[Path], options: Mapping[str, Any]) -> RecordSource[Any]:
    """Domains speak of the keys below `data`, as prepare has them; here they stand below `input`."""
    assert reader.source is not None
    try:
        return reader.source(path=[str(path) for path in given], **options)
    except ConfigError as error:
        message, hint = (re.sub(r"\bdata\.(?=\w)", "input.", text) for text in (error.message, error.hint))
        raise ConfigError(message, hint=hint) from error


def _is_there(folder: Path, identity: Mapping[str, Any]) -> bool:
    try:
        return bool(read_json(folder / SOURCE)["fingerprint"] == identity["fingerprint"])
    except (IntegrityError, KeyError, TypeError):
        return False


def _write(
    folder: Path,
    source: RecordSource[Any],
    reader: Reader,
    identity: Mapping[str, Any],
    domain: str,
    max_bad: float,
    rejects: Path,
) -> None:
    """The list of rejects lies in `rejects` until all is read: it stays there where this ends in an error."""
    tokenizer, names = reader.tokenizer, set[str]()
    pairs = Pairs(getattr(source, "reference", None))

    def free(name: str, row: int) -> str:
        wanted, number = name or f"record_{row + 1}", 2
        found = wanted
        while found in names:
            found, number = f"{wanted}.{number}", number + 1
        names.add(found)
        return found

    with (
        TokenStoreWriter(
            folder / TOKENS, tokenizer.spec, describe(tokenizer), domain=domain, source=source.provenance
        ) as writer,
        Ledger(rejects, max_bad=max_bad) as ledger,
    ):
        for row, record in enumerate(source):
            try:
                if isinstance(record, Reject):
                    raise RecordError(record.reason, record.message, record=record.id)
                name = free(source.name(record), row)
                pairs.check(record, name)
                found = one_sequence([tokenizer.encode(record)], tokenizer.spec)
                writer.append(replace(found, id=name))
            except InputError as error:
                reject = _reject(source, record, row, error)
                total = source.total_bytes
                ledger.reject(reject, source.bytes_read / total if total else None)
                lost = empty_sequence(tokenizer.spec)
                lost.id = free(reject.id, row) if isinstance(record, Reject) else name
                writer.append(lost)
                continue
            pairs.add(record, row)
            ledger.accept()
        ledger.check(getattr(source, "records_in", None))
        none = np.zeros((0, 3), np.int64)
        writer.finish(
            spans=none,
            span_split=np.zeros(0, np.uint8),
            counts=ledger.counts(),
            split={"rule": "none"},
            pairs=pairs.found(),
        )
    if ledger.n_rejected:
        with resources_named(folder):
            shutil.move(rejects, folder / REJECTED)
    write_json_durably(folder / SOURCE, dict(identity))


def _reject(source: RecordSource[Any], record: Any, row: int, error: InputError) -> Reject:
    if isinstance(record, Reject):
        return replace(record, index=row)
    file, line, offset = source.place(record) if hasattr(source, "place") else ("", None, None)
    reason = error.reason if isinstance(error, RecordError) else "refused"
    return Reject(file, row, source.name(record), line, offset, reason, error.message)


@dataclass(frozen=True)
class FilesInput:
    """Records of files, as they were read into `path`."""

    path: Path
    inner: StoreInput
    read_from: dict[str, Any]
    """The identity of what was read."""

    @classmethod
    def open(cls, folder: Path, fingerprint: str) -> FilesInput:
        """Raises IntegrityError where the folder is damaged, or holds other files than those of that fingerprint."""
        source = read_json(folder / SOURCE)
        if source.get("fingerprint") != fingerprint:
            raise IntegrityError(f"{folder} holds other records than the prediction was planned for")
        return cls(folder, StoreInput(TokenStore.open(folder / TOKENS)), source)

    @property
    def spec(self) -> TokenSpec:
        return self.inner.spec

    @property
    def tokenizer(self) -> Mapping[str, Any]:
        return self.inner.tokenizer

    @property
    def pairs(self) -> NDArray[np.int64]:
        return self.inner.pairs

    @property
    def row_tokens(self) -> int:
        return self.inner.row_tokens

    @property
    def identity(self) -> dict[str, Any]:
        return {**self.read_from, "rows": len(self.inner), "tokens": self.inner.store.n_tokens}

    def __len__(self) -> int:
        return len(self.inner)

    def read(self, start: int, stop: int) -> EncodedRows:
        refused = {row - start: self._refused[row] for row in range(start, stop) if row in self._refused}
        return replace(self.inner.read(start, stop), refused=refused)

    @cached_property
    def _refused(self) -> dict[int, Refusal]:
        path = self.path / REJECTED
        found: dict[int, Refusal] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            entry = json.loads(line)
            known = {key: entry[key] for key in ("file", "line", "offset") if entry[key] not in ("", None)}
            found[entry["index"]] = Refusal(entry["reason"], entry["message"], known)
        return found
