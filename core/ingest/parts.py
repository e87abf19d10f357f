"""A store of many files, prepared in parts by many processes and read as one.

A part is a fixed share of the files, in their order; the plan says which, not how many work on them. Parts are read by
whichever process a launcher chooses; here they are put together: names, split, duplicates, leakage and rejects are
those of one pass over all files. Until the store is whole everything lies in `OUT.zarr.unfinished`, where the same
command goes on after whatever ended it.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data_report import DataReport
from core.durable import (
    json_bytes,
    new_folder,
    one_at_a_time,
    read_json,
    replace_folder,
    write_bytes_durably,
    write_json_durably,
)
from core.errors import ConfigError, InputError, IntegrityError, StoppedError
from core.ingest.gathered import Gathered, Names
from core.ingest.job import PLAN, SPLIT, STORE, TOKENIZER, OpenPart, PartsJob, file_facts, files_of
from core.ingest.passes import Passes, Planned
from core.ingest.prepare import labels_of, parts_of_rows, refuse_existing, rejects_path, report_of
from core.ingest.source import Progress, RecordSource
from core.launch import LAUNCHERS, LaunchOptions, Work
from core.launch.stop import Stop
from core.rejects import Ledger, Reject, remedies_of, what_helps
from core.sequence import Array
from core.split import SplitConfig, SplitPlan, assign
from core.store import TokenStore
from core.store.layout import software
from core.store.writer import complete, label_pieces, refuse_other
from core.tokenizer import Tokenizer, describe

PART_BYTES = 2**26
"""Of the files of a part, about: seconds of work of letters, minutes of molecules that are parsed."""
LOCK = ".lock"
_EARLY = 1000
"""Records that must have been seen before work is given up as hopeless."""


@dataclass(frozen=True)
class PartsOptions:
    """How the work is shared out."""

    open_part: OpenPart
    recipe: Mapping[str, Any]
    """JSON values that `open_part` makes source and tokenizer of."""
    launcher: str = "inprocess"
    """A name in LAUNCHERS."""
    launch: LaunchOptions = field(default_factory=LaunchOptions)
    part_bytes: int = PART_BYTES
    """Files are shared out so that a part has about so many bytes."""

    def __post_init__(self) -> None:
        LAUNCHERS.get(self.launcher)
        if self.part_bytes < 1:
            raise ConfigError(f"part_bytes: got {self.part_bytes}, allowed: a positive whole number")


def unfinished(store: Path) -> Path:
    """Where the work on a store lies until it is whole."""
    return store.with_name(f"{store.name}.unfinished")


def share_out(sizes: list[int], part_bytes: int) -> list[list[int]]:
    """[start, stop) of the files of each part: as many as make `part_bytes`, a larger one alone."""
    parts: list[list[int]] = []
    filled = 0
    for number, size in enumerate(sizes):
        if not parts or filled + size > part_bytes:
            parts.append([number, number])
            filled = 0
        parts[-1][1], filled = number + 1, filled + size
    return parts


def prepare_parts(
    source: RecordSource[Any],
    tokenizer: Tokenizer[Any],
    out: Path,
    options: PartsOptions,
    *,
    split: SplitConfig,
    domain: str,
    max_bad: float = 0.01,
    on_bad: str = "reject",
    progress: Progress | None = None,
    overwrite: bool = False,
    min_length: int = 1,
    max_length: int | None = None,
    shard_tokens: int | None = None,
) -> DataReport:
    """Makes a store of parts at `out`; given again, it goes on where it was.

    Args: as `prepare_store`, whose records, split and counts the store has; `source` and `tokenizer` are what
        `options.open_part` makes of the recipe.

    Raises:
        ConfigError: `out` exists, or the records are not read file by file.
        InputError: damage to a file, or too many rejects; the parts that are done are kept.
        IntegrityError: the work was begun with other files or settings, the difference shown.
        ResourceError: the disk refuses, workers die, or another process is at it.
        StoppedError: SIGTERM or SIGINT came; the parts that are done are kept.
    """
    work = unfinished(out)
    if out.exists() and (work / PLAN).is_file() and not (work / STORE).exists():  # it ended between its last two steps
        shutil.rmtree(work)
        return DataReport(**TokenStore.open(out).report)
    refuse_existing(out, overwrite=overwrite)
    refuse_other(out)
    files = file_facts(files_of(source))
    plan = {
        "domain": domain,
        "recipe": dict(options.recipe),
        "split": asdict(split),
        "files": files,
        "parts": share_out([size for _, size, _ in files], options.part_bytes),
        "min_length": min_length,
        "max_length": max_length,
        "on_bad": on_bad,
        "shard_tokens": shard_tokens,
        "software": software(),
    }
    law = _Law(rejects_path(out), max_bad, remedies_of(source, tokenizer))
    with _claimed(work, plan), Stop() as stop:
        making = _Making(work, out, options, source, split, law, progress, stop)
        planned = None
        if tokenizer.needs_fit:
            planned = making.survey()
            tokenizer = making.learned(tokenizer, planned, Passes(source, split, progress, min_length, max_length))
        else:
            write_json_durably(work / TOKENIZER, describe(tokenizer))
        report = making.encode(tokenizer, domain, planned.plan if planned else None)
        replace_folder(work / STORE, out, overwrite=overwrite)
    shutil.rmtree(work, ignore_errors=True)
    TokenStore.open(out)
    return report


@contextmanager
def _claimed(work: Path, plan: Mapping[str, Any]) -> Iterator[None]:
    """The folder of the work exists, is of this plan, and nobody else is at it."""
    if work.exists() and not (work / PLAN).is_file():
        shutil.rmtree(work)  # nothing was begun in it
    if not work.exists():
        with new_folder(work) as folder:
            (folder / STORE / "parts").mkdir(parents=True)
            write_json_durably(folder / PLAN, plan)
    busy = f"another process is preparing {work}"
    with one_at_a_time(work / LOCK, busy, "Wait for it, or choose another store."):
        theirs = read_json(work / PLAN)
        if theirs != json.loads(json_bytes(plan)):
            lines = "\n".join(f"  {line}" for line in _differences(plan, theirs))
            raise IntegrityError(
                f"{work} was begun otherwise (there -> asked for now):\n{lines}",
                hint="Give the command it was begun with, or remove that folder to begin anew.",
            )
        yield


def _differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs in two plans; of files the first few."""
    lines = []
    for key in sorted(set(mine) | set(theirs)):
        a, b = json.loads(json_bytes(mine.get(key))), theirs.get(key)
        if key == "files" and a != b:
            before = {path: facts for path, *facts in b or []}
            changed = [path for path, *facts in a if before.pop(path, None) != facts]
            lines.append(f"files: {', '.join([*changed, *before][:5])}")
        elif a != b and key != "parts":
            lines.append(f"{key}: {b} -> {a}")
    return lines or ["parts: other files to a part (part_bytes=)"]


class _Law:
    """records_in = ok + rejected over all parts; rejects in the order of the files."""

    def __init__(self, path: Path, max_bad: float, remedies: Mapping[str, str]) -> None:
        self.path, self.max_bad, self.remedies = path, max_bad, remedies

    def hopeless(self, records: int, rejected: int, share: float, example: str) -> None:
        """Raises InputError where of so many records, that share of all, so many were rejected that twice `max_bad`
        would be passed even if all the rest were good."""
        if records >= _EARLY and rejected > 2 * self.max_bad * records / share:
            helps = what_helps([json.loads(example)["reason"]], self.remedies)
            raise InputError(
                f"after {100 * share:.0f} % of the files {rejected:,} of {records:,} records were rejected; "
                f"max_bad={self.max_bad:g} allows {100 * self.max_bad:g} %\n  One of them: {example}",
                hint=f"{helps}Repair the input, or allow more with max_bad=; the parts that are done are kept.",
            )

    def judge(self, parts: Iterator[tuple[Gathered, Mapping[str, Any]]], take: Callable[..., None]) -> Ledger:
        """Counts all parts in order, giving each to `take`. Raises as `Ledger.check`."""
        with Ledger(self.path, max_bad=self.max_bad, remedies=self.remedies) as ledger:
            expected: int | None = 0
            for found, facts in parts:
                first, numbered = ledger.records_in, set(found.numbered)
                ledger.accept(facts["ok"])
                for number, line in enumerate(facts["rejects"]):
                    reject = Reject(**json.loads(line))
                    ledger.reject(replace(reject, index=reject.index + first) if number in numbered else reject)
                expected = None if expected is None or facts["expected"] is None else expected + facts["expected"]
                take(found, facts, first)
            ledger.check(expected)
        return ledger


@dataclass
class _Making:
    """The steps of the work."""

    work: Path
    out: Path
    options: PartsOptions
    source: RecordSource[Any]
    split: SplitConfig
    law: _Law
    progress: Progress | None
    stop: Stop

    def __post_init__(self) -> None:
        self.complement = getattr(self.source, "complement", None)

    def survey(self) -> Planned:
        """Who learns must know how the records are split: the keys of all of them, and the plan."""
        job = self._job("survey")
        self._launch(job, "splitting")
        whole, first = self._empty(), [0]

        def take(found: Gathered, facts: Mapping[str, Any], _: int) -> None:
            whole.join(found)
            first.append(len(whole.planned))

        self.law.judge((job.read(part, self.complement) for part in range(job.n_blocks)), take)
        plan = assign(whole.keys)
        if not (self.work / SPLIT).is_file():
            file = io.BytesIO()
            np.savez(file, spans=plan.spans, split=plan.split, planned=np.array(whole.planned), first=np.array(first))
            write_bytes_durably(self.work / SPLIT, file.getvalue())
        return Planned(plan, whole.planned)

    def learned(self, tokenizer: Tokenizer[Any], planned: Planned, passes: Passes) -> Tokenizer[Any]:
        """Fitted here, on the training part of all files, unless that was done before an interruption."""
        if (self.work / TOKENIZER).is_file():
            return self.options.open_part(self.options.recipe, read_json(self.work / TOKENIZER))[1]
        fitted = tokenizer.fit(passes.training_pieces(planned))
        write_json_durably(self.work / TOKENIZER, describe(fitted))
        return fitted

    def encode(self, tokenizer: Tokenizer[Any], domain: str, plan: SplitPlan | None) -> DataReport:
        """All parts into tokens; then each gets what only all together tell: ids, spans, and the report."""
        job = self._job("encode")
        self._launch(job, "encoding")
        whole, names, new_ids, labels = self._empty(), Names(), dict[int, list[str]](), dict[str, str]()

        def take(found: Gathered, facts: Mapping[str, Any], first: int) -> None:
            part = len(firsts) - 1
            ids = found.ids(names, first)
            if ids != found.ids(Names()):
                new_ids[part] = ids
            if found.names:
                _same_labels(labels, facts["labels"], job.said(part))
            whole.join(found)
            firsts.append(len(whole.names))

        firsts = [0]
        ledger = self.law.judge((job.read(part, self.complement) for part in range(job.n_blocks)), take)
        cut = plan is not None or self.split.rule == "last"
        plan = plan or assign(whole.keys)
        whole.renamed = names.renamed
        filled = [job.place(part) for part in range(job.n_blocks) if firsts[part] < firsts[part + 1]]
        rows = parts_of_rows(*whole.spans(plan, 0, cut=cut), len(whole.names))
        distributions, one = labels_of(whole, self.source, {name: _label(filled, name) for name in labels}, rows)
        report = report_of(whole, self.source, tokenizer, ledger, plan, distributions, one, self.out, domain)
        told = False
        for part in range(job.n_blocks):
            self.stop.check()
            found, facts = job.read(part, self.complement)
            attrs = {**facts["attrs"], "counts": facts["counts"], "split": plan.report, "report": {}}
            if found.names and not told:  # a store's source and report are those of its first part with a record
                attrs |= {"source": dict(self.source.provenance), "report": report.to_dict()}
                told = True
            spans, sides = found.spans(plan, firsts[part], cut=cut)
            place = job.place(part)
            complete(place, attrs, spans, sides, found.pairs, ids=new_ids.get(part), known=facts["files"])
        for left in (self.work / STORE / "parts").glob("*.partial-*"):
            shutil.rmtree(left, ignore_errors=True)  # of workers that were killed
        return report

    def _job(self, phase: str) -> PartsJob:
        return PartsJob(self.work, self.out, phase, self.options.open_part)

    def _empty(self) -> Gathered:
        return Gathered(self.split, self.complement)

    def _launch(self, job: PartsJob, phase: str) -> None:
        """Has the parts done that are not."""
        done = {part for part in range(job.n_blocks) if job.is_done(part) and job.is_whole(part, self.complement)}
        todo = [part for part in range(job.n_blocks) if part not in done]
        for part in todo:
            job.gathered(part).unlink(missing_ok=True)
        sizes = [sum(size for _, size, _ in job.plan["files"][a:b]) for a, b in job.plan["parts"]]
        there, total = sum(sizes[part] for part in done), max(1, sum(sizes))
        read = records = rejected = 0

        def is_done(part: int) -> None:
            nonlocal read, records, rejected
            found, facts = job.read(part, self.complement)
            read, records = read + sizes[part], records + found.records_in
            rejected += len(facts["rejects"])
            if facts["rejects"]:
                self.law.hopeless(records, rejected, max(read, 1) / total, facts["rejects"][0])
            if self.progress:
                self.progress(phase, there + read, total, records)

        def damaged(part: int, message: str) -> None:
            raise IntegrityError(f"{job.said(part)}: {message}")

        try:
            LAUNCHERS.get(self.options.launcher)(Work(job, todo, is_done, damaged, self.stop, self.options.launch))
        except StoppedError as error:
            now = sum(job.is_done(part) for part in range(job.n_blocks))
            raise StoppedError(
                error.signum,
                f"stopped by {signal.Signals(error.signum).name}: {now} of {job.n_blocks} parts are done",
                hint="Give the same command again to go on.",
            ) from error


def _label(places: list[Path], name: str) -> Iterator[Array]:
    """Its values in the records of all parts."""
    for place in places:
        yield from label_pieces(place, name)


def _same_labels(known: dict[str, str], theirs: Mapping[str, str], part: str) -> None:
    """Raises InputError where the records of a part have other labels than those before."""
    numbers = ("int", "float")
    if known and (
        known.keys() != theirs.keys()
        or any(known[name] != kind and not {known[name], kind} <= set(numbers) for name, kind in theirs.items())
    ):
        raise InputError(f"{part}: its records have labels {dict(theirs)}, those before have {known}")
    known.update(theirs)
