"""What files of music hold, read once and kept: parsing takes milliseconds a piece, and much music is many pieces.

Files are read in groups; a group's scores and rejects are kept in the cache under a hash of the files' bytes, of how
they are read and of a version, so another file, or another way to read it, is another entry. Several groups that the
cache lacks are read by several processes. What stops a reader (damage) is met again, and raised, where it is asked for.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from core.durable import write_bytes_durably
from core.errors import ForetellError, RecordError
from core.places import cache_folder
from core.rejects import Reject
from domains.formats.score import Score

VERSION = 2
"""Raised when the same files would be read differently."""
GROUP_BYTES = 400_000
"""Of files of a group: a few seconds' work."""
ROWS = ("notes", "tempos", "metres", "keys")
Items = list[Score | Reject]


@dataclass(frozen=True)
class Group:
    """Files that are read together."""

    paths: tuple[str, ...]
    kinds: tuple[str, ...]
    """midi, musicxml, abc or kern, one a file."""
    repair: bool = False

    @property
    def kept_at(self) -> Path:
        """Where the cache has it."""
        contents = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in self.paths]
        facts = [VERSION, *map(list, (self.paths, self.kinds, contents)), self.repair]
        return cache_folder() / "music" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}.npz"

    def read(self) -> list[tuple[Items, Counter[str]]] | None:
        """Per file its scores and rejects and what was unusual; None where the cache does not have them whole."""
        try:
            with np.load(io.BytesIO(self.kept_at.read_bytes()), allow_pickle=False) as arrays:
                return _unpacked(dict(arrays))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def make(self) -> list[tuple[Items, Counter[str]]]:
        """Reads the files and keeps what they hold. Raises what their readers raise."""
        found: list[tuple[Items, Counter[str]]] = []
        for path, kind in zip(self.paths, self.kinds, strict=True):
            notes: Counter[str] = Counter()
            found.append((list(parse(Path(path), kind, notes, repair=self.repair)), notes))
        place = self.kept_at
        place.parent.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        np.savez(file, **_packed(found))
        write_bytes_durably(place, file.getvalue())
        return found


def parse(path: Path, kind: str, notes: Counter[str], *, repair: bool) -> Iterator[Score | Reject]:
    """The scores of a file; a file that cannot be read is one Reject. `notes` counts what was unusual but readable."""
    if kind == "abc":
        from domains.formats.abc import read_abc

        yield from read_abc(path, notes)
        return
    try:
        scores = _scores(path, kind, notes, repair)
    except RecordError as error:
        yield Reject(str(path), 0, path.stem, None, error.position, error.reason, error.message)
        return
    for score in scores:
        yield replace(score, place=(str(path), None, None))


def _scores(path: Path, kind: str, notes: Counter[str], repair: bool) -> list[Score]:
    if kind == "midi":
        from domains.formats.midi import read_midi

        return read_midi(path, notes, repair=repair)
    if kind == "kern":
        from domains.formats.kern import read_kern

        return [read_kern(path, notes)]
    from domains.formats.musicxml import read_musicxml

    return [read_musicxml(path, notes)]


def parsed(paths: Sequence[Path], kinds: Sequence[str], *, repair: bool) -> Iterator[tuple[Items, Counter[str]]]:
    """Per file what it holds, in order; less than a group is read as it is, and not kept."""
    groups = list(_groups(paths, kinds, repair))
    if len(groups) < 2:
        for path, kind in zip(paths, kinds, strict=True):
            notes: Counter[str] = Counter()
            yield list(parse(path, kind, notes, repair=repair)), notes
        return
    missing = [group for group in groups if not group.kept_at.is_file()]
    workers = os.cpu_count() or 1
    if len(missing) > 1 and workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(_in_a_process, (missing[i::workers] for i in range(min(workers, len(missing))))))
    for group in groups:
        yield from group.read() or group.make()


def _groups(paths: Sequence[Path], kinds: Sequence[str], repair: bool) -> Iterator[Group]:
    begin = size = 0
    for number, path in enumerate(paths, 1):
        size += path.stat().st_size
        if size >= GROUP_BYTES or number == len(paths):
            yield Group(tuple(map(str, paths[begin:number])), tuple(kinds[begin:number]), repair)
            begin, size = number, 0


def _in_a_process(groups: Sequence[Group]) -> None:
    """Runs this file in a new Python, so that neither a fork of threads nor the user's main module is in it."""
    paths = os.pathsep.join(path for path in sys.path if path)
    subprocess.run(
        [sys.executable, "-m", "domains.music.source.parsed"],
        input=json.dumps([asdict(group) for group in groups]),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,  # what went wrong is met again by who reads the group
    )


def main() -> None:
    for said in json.load(sys.stdin):
        group = Group(tuple(said["paths"]), tuple(said["kinds"]), said["repair"])
        try:
            group.make()
        except (ForetellError, OSError):
            continue  # told where the group is read


def _packed(found: list[tuple[Items, Counter[str]]]) -> dict[str, Any]:
    """Numbers side by side, all else as one JSON text."""
    scores = [item for items, _ in found for item in items if isinstance(item, Score)]
    names = [f.name for f in fields(Score) if f.name not in (*ROWS, "data")]
    said = [
        {
            "notes": dict(notes),
            "items": [
                {"reject": asdict(item)}
                if isinstance(item, Reject)
                else {name: _plain(getattr(item, name)) for name in names}
                for item in items
            ],
        }
        for items, notes in found
    ]
    arrays: dict[str, Any] = {"said": np.array(json.dumps(said))}
    for name in ROWS:
        arrays[name] = np.concatenate([getattr(score, name) for score in scores]) if scores else np.zeros((0, 7))
        arrays[f"{name}_ends"] = np.cumsum([len(getattr(score, name)) for score in scores], dtype=np.int64)
    arrays["data"] = np.frombuffer(b"".join(score.data for score in scores), np.uint8)
    arrays["data_ends"] = np.cumsum([len(score.data) for score in scores], dtype=np.int64)
    return arrays


def _unpacked(arrays: dict[str, Any]) -> list[tuple[Items, Counter[str]]]:
    """Raises KeyError or ValueError where something is missing."""
    parts = {name: np.split(arrays[name], arrays[f"{name}_ends"]) for name in (*ROWS, "data")}
    found: list[tuple[Items, Counter[str]]] = []
    number = 0
    for file in json.loads(str(arrays["said"])):
        items: Items = []
        for said in file["items"]:
            if "reject" in said:
                items.append(Reject(**said["reject"]))
                continue
            rows: dict[str, Any] = {name: parts[name][number] for name in ROWS}
            tuples = {"tracks": tuple(said["tracks"]), "place": tuple(said["place"])}
            items.append(Score(**{**said, **tuples}, **rows, data=parts["data"][number].tobytes()))
            number += 1
        found.append((items, Counter(file["notes"])))
    return found


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "items") else list(value) if isinstance(value, tuple) else value


if __name__ == "__main__":
    main()
