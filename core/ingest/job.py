"""One part of a store that is prepared in parts: the files of a fixed share, read, checked and encoded by any process.

What a part comes to is a function of the plan alone: which files, how they are read, and, of a tokenizer that learns,
what it has learned and how the records are split. Its file in `gathered/`, written last, says that it is done.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from core.durable import check_manifest, json_bytes, read_json, write_bytes_durably
from core.errors import ConfigError, IntegrityError, ResourceError
from core.ingest.gathered import Gathered
from core.ingest.passes import Passes, Planned
from core.ingest.source import RecordSource
from core.rejects import Ledger
from core.split import SplitConfig, SplitPlan
from core.store.writer import TokenStoreWriter
from core.tokenizer import Tokenizer, describe

PLAN, TOKENIZER, SPLIT = "plan.json", "tokenizer.json", "split.npz"
STORE = "store"
"""In the folder of the work: what becomes the store."""
PHASES = ("survey", "encode")

OpenPart = Callable[[Mapping[str, Any], Mapping[str, Any] | None], tuple[RecordSource[Any], Tokenizer[Any]]]
"""(recipe, description of the tokenizer or None) -> the source of all records, and the tokenizer: the one described, or
one that has not learned yet. A function of a module, for other processes are to find it."""


def files_of(source: RecordSource[Any]) -> list[Path]:
    """The files that a source can read apart. Raises ConfigError where it cannot."""
    if not hasattr(source, "files_apart"):
        raise ConfigError(
            "these records are not read from several files: they are prepared by one process",
            hint="Use launcher=inprocess without part_bytes; parts are made of files of your own, data.path=FOLDER.",
        )
    found: list[Path] = source.files_apart()
    return found


def file_facts(paths: list[Path]) -> list[list[Any]]:
    """[path, bytes, time of the last change] of each file; of a folder those of all files below."""
    facts = []
    for path in paths:
        stats = [p.stat() for p in ([path] if path.is_file() else sorted(path.rglob("*")))]
        facts.append([str(path.resolve()), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)])
    return facts


@dataclass(frozen=True)
class PartsJob:
    """Parts as blocks of a `core.launch.job.Job`; `work` is the folder where they come to lie."""

    work: Path
    store: Path
    phase: str
    """survey or encode."""
    open_part: OpenPart

    kind: ClassVar[str] = "preparation"
    threads: ClassVar[int] = 1

    @cached_property
    def plan(self) -> dict[str, Any]:
        if not (self.work / PLAN).is_file():
            raise ResourceError(
                f"a worker does not see {self.work / PLAN}", hint="Files and store must be in its reach."
            )
        found: dict[str, Any] = read_json(self.work / PLAN)
        return found

    @property
    def output(self) -> Path:
        return self.store

    @cached_property
    def hash(self) -> str:
        return hashlib.sha256(json_bytes([self.plan, self.phase])).hexdigest()

    @property
    def n_blocks(self) -> int:
        return len(self.plan["parts"])

    @property
    def split(self) -> SplitConfig:
        return SplitConfig(**self.plan["split"])

    def open_runner(self, between: Callable[[], None] = lambda: None) -> PartRunner:
        return PartRunner(self, between)

    def place(self, part: int) -> Path:
        """Where the records of a part lie as tokens."""
        width = max(4, len(str(self.n_blocks - 1)))  # they are read in the order of their names
        return self.work / STORE / "parts" / f"{part:0{width}}.zarr"

    def gathered(self, part: int) -> Path:
        """The file of what else is known of its records."""
        return self.work / self.phase / f"{part:05}.npz"

    def is_done(self, block: int) -> bool:
        return self.gathered(block).is_file()

    def is_whole(self, part: int, complement: Any) -> bool:
        """Whether it is done, and every byte of it is what was written."""
        try:
            _, facts = self.read(part, complement)
            if self.phase == "encode":
                late = ("zarr.json", "ids/")  # the store's completion may have begun
                files = {name: entry for name, entry in facts["files"].items() if not name.startswith(late)}
                check_manifest(self.place(part), files)
        except (IntegrityError, OSError):
            return False
        return True

    def read(self, part: int, complement: Any) -> tuple[Gathered, Mapping[str, Any]]:
        """What was gathered of a part, and the facts that stand beside it. Raises IntegrityError."""
        path = self.gathered(part)
        try:
            return Gathered.from_bytes(path.read_bytes(), self.split, complement)
        except FileNotFoundError as error:
            raise IntegrityError(f"{path} is missing") from error

    def items(self, block: int) -> int:
        """None: a file is read from its beginning."""
        return 0

    def said(self, block: int) -> str:
        start, stop = self.plan["parts"][block]
        first, last = self.plan["files"][start][0], self.plan["files"][stop - 1][0]
        return f"part {block} ({first}{f' to {last}' if stop - start > 1 else ''})"

    def to_config(self, *, whole: bool = True) -> dict[str, Any]:
        """Where to find the plan."""
        return {
            "work": str(self.work.resolve()),
            "store": str(self.store.resolve()),
            "phase": self.phase,
            "open_part": f"{self.open_part.__module__}:{self.open_part.__qualname__}",
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        module, _, name = config["open_part"].partition(":")
        function = getattr(importlib.import_module(module), name)
        return cls(Path(config["work"]), Path(config["store"]), config["phase"], function)


class PartRunner:
    """Does parts in this process.

    Raises IntegrityError where a file is not what it was when the parts were planned.
    """

    def __init__(self, job: PartsJob, between: Callable[[], None]) -> None:
        self.job, self.plan, self.between = job, job.plan, between
        encodes = job.phase == "encode"
        self.source, self.tokenizer = job.open_part(
            self.plan["recipe"], read_json(job.work / TOKENIZER) if encodes else None
        )
        facts = file_facts(files_of(self.source))
        if facts != self.plan["files"]:
            changed = [mine[0] for mine, planned in zip(facts, self.plan["files"], strict=False) if mine != planned]
            raise IntegrityError(
                f"the files have changed since the work began: {', '.join(changed[:5]) or 'there are more, or fewer'}",
                hint=f"Remove {job.work} to begin anew.",
            )
        self.planned: tuple[SplitPlan, list[int], list[int]] | None = None
        if encodes and (job.work / SPLIT).is_file():
            with np.load(job.work / SPLIT, allow_pickle=False) as found:
                plan = SplitPlan(found["spans"], found["split"], {})
                self.planned = plan, found["planned"].tolist(), found["first"].tolist()

    def run(self, block: int, killed: Many[int] = ()) -> None:
        """Reads the files of a part, and writes what its phase asks for."""
        plan, job = self.plan, self.job
        self.source.restrict(*plan["parts"][block])  # type: ignore[attr-defined]
        passes = Passes(self.source, job.split, lambda *_: self.between(), plan["min_length"], plan["max_length"])
        listed = job.gathered(block).with_suffix(".rejects.jsonl")
        listed.parent.mkdir(parents=True, exist_ok=True)
        facts: dict[str, Any] = {}
        with Ledger(listed, max_bad=1, on_bad=plan["on_bad"]) as ledger:  # all parts together are judged at the end
            if job.phase == "survey":
                found = passes.survey(self.tokenizer, ledger)
            else:
                found, facts = self._encode(block, passes, ledger)
        rejects = listed.read_text(encoding="utf-8").splitlines() if ledger.n_rejected else []
        facts |= {"ok": ledger.ok, "rejects": rejects, "expected": getattr(self.source, "records_in", None)}
        listed.unlink(missing_ok=True)
        write_bytes_durably(job.gathered(block), found.to_bytes(**facts))

    def try_items(self, block: int, items: Many[int]) -> None:
        raise NotImplementedError("a part is done whole")

    def _encode(self, block: int, passes: Passes, ledger: Ledger) -> tuple[Gathered, dict[str, Any]]:
        planned = None
        if self.planned is not None:
            plan, records, first = self.planned
            planned = Planned(plan, records[first[block] : first[block + 1]])
        with TokenStoreWriter(
            self.job.place(block),
            self.tokenizer.spec,
            describe(self.tokenizer),
            domain=self.plan["domain"],
            source=self.source.provenance,
            shard_tokens=self.plan["shard_tokens"],
            overwrite=True,
        ) as writer:
            found = passes.encode(self.tokenizer, writer, ledger, planned)
            facts = {"attrs": writer.attrs, "labels": writer.label_kinds, "counts": ledger.counts()}
            return found, facts | {"files": writer.leave()}
