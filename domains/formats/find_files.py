"""Files by folders, patterns and endings, for readers of several formats."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.errors import InputError
from domains.formats.text import missing

Suffixes = Mapping[str, tuple[str, ...]]
"""Format to the endings of its files, without .gz."""


def find_files(paths: Iterable[Path | str], suffixes: Suffixes, what: str) -> list[Path]:
    """The files behind files, folders (every file of these endings below, sorted) and patterns like `reads/*.fq.gz`.

    A path that exists is taken literally, whatever its characters. Raises InputError where nothing is found.

    Args:
        what: the user's word for such a file ("sequence file"); used in errors.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and by_suffix(p, suffixes))
            if not inside:
                known = " ".join(suffix for endings in suffixes.values() for suffix in endings)
                raise InputError(f"folder {path} holds no {what}", hint=f"Endings, also with .gz: {known}.")
            found += inside
        elif path.exists() or not glob.has_magic(str(path)):
            if not path.exists():
                raise missing(path)
            found.append(path)
        else:
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"no file matches {path}")
            found += [p for p in matches if p.is_file()]
    if not found:
        raise InputError("no file was given", hint="Give data.path=FILE, or data=NAME for a published data set.")
    return list(dict.fromkeys(found))


def by_suffix(path: Path, suffixes: Suffixes) -> str | None:
    """The format that a file's ending says, None where it says none."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".bgz")
    return next((kind for kind, endings in suffixes.items() if name.endswith(endings)), None)
