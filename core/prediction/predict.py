"""From an input to a prediction store, block by block: interrupted anywhere, it goes on, and the bytes are equal.

A block is whole output shards with one owner, and its bytes are a pure function of the plan. A launcher runs the blocks
that have no valid done-marker; it may do so anywhere. Only `predict` creates, locks and completes the output.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Several
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.bundle import load_bundle
from core.durable import json_bytes, read_json, resources_named, write_files_durably
from core.errors import ConfigError, InputError, IntegrityError, StoppedError
from core.launch import LAUNCHERS, LaunchOptions, Work, threads_each
from core.launch.stop import Stop
from core.places import is_remote, place
from core.prediction.block import BlockRunner, layout_of
from core.prediction.claim import claimed, remove_leftovers
from core.prediction.damage import Damage
from core.prediction.input import MakeReader
from core.prediction.input.opening import find_input, remove_unused_tokens, tokens_beside
from core.prediction.job import Job, MakeGrammar, MakeOtherStrand
from core.prediction.layout import PLAN, REJECTS, SUMMARY, Layout, final_keys, read_marker, root_attributes
from core.prediction.plan import PredictionPlan, PredictOptions, make_plan
from core.prediction.store import PredictionStore


@dataclass(frozen=True)
class Progress:
    """How far a prediction is; rows and tokens of blocks that were there already are not in the rates."""

    blocks: int
    blocks_done: int
    rows: int
    rows_done: int
    refused: int
    tokens_done: int
    seconds: float
    rows_per_second: float
    tokens_per_second: float

    @property
    def seconds_left(self) -> float:
        """At the rate so far; infinite before the first block."""
        if self.rows_done == self.rows:
            return 0.0
        return (self.rows - self.rows_done) / self.rows_per_second if self.rows_per_second else float("inf")


@dataclass(frozen=True)
class PredictReport:
    """What a prediction came to. rows = ok + the sum of `refused`."""

    path: Path
    rows: int
    ok: int
    refused: dict[str, int]
    tokens: int
    blocks: int
    blocks_kept: int
    """Blocks that an earlier run had done."""
    seconds: float
    pairs: int = 0
    """Pairs of rows compared; the rows of some may have been refused."""
    missing: int = 0
    """Blocks that others have yet to do, where only a range was asked for: the output is not complete."""


def predict(
    bundle: Path | str,
    input: Path | str | Several[Path | str],
    output: Path | str,
    *,
    what: Iterable[str] = ("score",),
    options: PredictOptions | None = None,
    launcher: str = "inprocess",
    launch: LaunchOptions | None = None,
    block_range: tuple[int, int] | None = None,
    progress: Callable[[Progress], None] | None = None,
    grammar: MakeGrammar | None = None,
    other_strand: MakeOtherStrand | None = None,
    reader: MakeReader | None = None,
    keys: Mapping[str, Any] | None = None,
    max_bad: float = 0.01,
    **settings: Any,
) -> PredictReport:
    """Predicts every row of `input` into the prediction store `output`; given again, it goes on.

    Args:
        input: a token store; with a `reader` also a Zarr group of one's own, or raw files. A path, or a URL.
        output: a path, or a URL that fsspec knows.
        what: some of score, token_scores, embedding, sample, forecast, compare.
        options: how.
        launcher: name in LAUNCHERS.
        launch: what the launcher is told.
        block_range: only blocks [start, stop), whatever else others do at the same time; who finishes last completes
            the output.
        progress: called after every block.
        grammar: makes the grammar of the bundle's tokenizer, where `options.grammar` asks for it. A function of a
            module, as is the next, where other processes are to find it.
        other_strand: gives how the bundle's tokenizer turns tokens, where `options.strands` is "both".
        reader: gives how records of the bundle's kind are made and encoded.
        keys: which arrays of a Zarr group are what, and how records of files are read; see `input.opening.find_input`.
        max_bad: share of the rows that may be no record for reader or tokenizer.
        settings: seed, device, precision, kernel, threads, batch_tokens, exact, rows_per_block; see `make_plan`.

    Raises:
        ConfigError: a value that is not allowed; something else lies at `output`.
        InputError: too many rows of the input are no records; finished blocks are kept.
        IntegrityError: bundle or input is damaged (naming the rows), they do not belong together, or `output` was begun
            under another plan, the difference shown.
        ResourceError: no space, no permission, or another process is writing `output`.
        StoppedError: SIGTERM or SIGINT came; finished blocks are kept.
    """
    run, launch = LAUNCHERS.get(launcher), launch or LaunchOptions()
    loaded, output = load_bundle(bundle), place(output)
    _reachable(output, launcher)
    opened = None if reader is None else reader(loaded)
    with ExitStack() as unless_begun:
        unless_begun.callback(remove_unused_tokens, output)
        rows = find_input(input, keys or {}, opened, output, domain=loaded.domain, max_bad=max_bad)
        _reachable(rows.path, launcher)
        settings["threads"] = settings.get("threads") or _threads_begun_with(output) or threads_each(launcher, launch)
        unit = opened.tokenizer.natural_unit if opened is not None else None
        plan = make_plan(loaded, rows, output, what=what, options=options, unit=unit, **settings)
        job = Job(plan, grammar, other_strand, reader)
        ready = job.open(loaded, rows)
        layout = layout_of(plan, loaded, rows.pairs)
        begin = time.perf_counter()
        notes = {"window": plan.options.window.describe(), "bundle": _called(loaded.path), "input": _called(rows.path)}
        shared = block_range is not None
        mine = _range(plan, block_range)
        held = ExitStack()
        held.enter_context(claimed(plan, rows, layout, notes, shared=shared))
        unless_begun.pop_all()
    with held, Stop() as stop:
        markers = {b: read_marker(plan.output, b, plan.hash) for b in range(plan.n_blocks)}
        todo = [b for b in mine if markers[b] is None]
        kept = [m for m in markers.values() if m is not None]
        found, damage = _Tally(plan, kept, begin), Damage(plan)
        found.check(max_bad)

        def done(block: int) -> None:
            marker = read_marker(plan.output, block, plan.hash, hashes=False)
            if marker is None:
                raise IntegrityError(f"{plan.output}: block {block} was run but has no valid marker")
            found.add(marker)
            found.check(max_bad)
            if progress is not None:
                progress(found.progress())

        try:
            run(
                Work(
                    job, todo, done, damage.add, stop, launch, lambda between: BlockRunner(plan, ready, between=between)
                )
            )
        except StoppedError as error:
            raise StoppedError(
                error.signum,
                f"stopped by {signal.Signals(error.signum).name}: {found.blocks} of {plan.n_blocks} blocks are done",
                hint="Give the same command again to go on.",
            ) from error
        damage.tell()
        missing = _missing(plan) if shared else 0
        summary = found.summary() if missing else _complete(plan, layout, notes)
    if not missing:
        shutil.rmtree(tokens_beside(plan.output), ignore_errors=True)
    return PredictReport(
        plan.output,
        summary["rows"],
        summary["ok"],
        summary["refused"],
        summary["tokens"],
        plan.n_blocks,
        len(kept),
        time.perf_counter() - begin,
        0 if layout.pairs is None else len(layout.pairs),
        missing,
    )


def run_block(job: Job, index: int) -> None:
    """Computes one block of a claimed output and writes it, its done-marker last. Any process on any machine may."""
    BlockRunner(job.plan, job.open()).run(index)


def _reachable(where: Path, launcher: str) -> None:
    """Raises ConfigError for a place that other processes do not see."""
    if launcher != "inprocess" and is_remote(where) and not getattr(where, "shared", True):
        raise ConfigError(f"launcher={launcher}: {where} is seen by this process only", hint="Use launcher=inprocess.")


def _called(path: Path) -> str:
    """The last of a place's name that tells it from others, wherever it lies."""
    parts = str(path).rstrip("/").split("/")
    return "/".join(parts[-2:] if parts[-1] == "bundle" else parts[-1:])


def _threads_begun_with(output: Path) -> int | None:
    """Threads of the plan that an output was begun under, which any launcher goes on with; None where there is none."""
    threads: int | None = read_json(output / PLAN).get("threads") if (output / PLAN).is_file() else None
    return threads


def _range(plan: PredictionPlan, block_range: tuple[int, int] | None) -> range:
    if block_range is None:
        return range(plan.n_blocks)
    start, stop = block_range
    if not 0 <= start < stop:
        raise ConfigError(f"block_range: got {list(block_range)}, allowed: [first, one behind the last]")
    return range(min(start, plan.n_blocks), min(stop, plan.n_blocks))


def _missing(plan: PredictionPlan) -> int:
    """How many blocks others have yet to do."""
    markers = (read_marker(plan.output, b, plan.hash, hashes=False) for b in range(plan.n_blocks))
    return sum(marker is None for marker in markers)


class _Tally:
    """Counts over blocks, for progress."""

    def __init__(self, plan: PredictionPlan, markers: list[dict[str, Any]], begin: float) -> None:
        self.plan, self.begin = plan, begin
        self.blocks = self.rows = self.tokens = 0
        self.bad = 0
        self.first: dict[str, Any] | None = None
        self.reasons: Counter[str] = Counter()
        for marker in markers:
            self.add(marker)
        self.kept_rows, self.kept_tokens = self.rows, self.tokens

    def add(self, marker: Mapping[str, Any]) -> None:
        self.blocks += 1
        self.rows += marker["rows"][1] - marker["rows"][0]
        self.reasons.update(r["reason"] for r in marker["refused"])
        self.bad += sum(r["status"] == "bad_record" for r in marker["refused"])
        self.tokens += marker["tokens"]
        if marker["refused"] and self.first is None:
            self.first = next((r for r in marker["refused"] if r["status"] == "bad_record"), None)

    def check(self, max_bad: float) -> None:
        """Raises InputError where more rows than that share of all are no records."""
        if self.bad > max_bad * self.plan.rows:
            raise InputError(
                f"{self.bad:,} of {self.plan.rows:,} rows are no records for the bundle's tokenizer; "
                f"max_bad={max_bad:g} allows {100 * max_bad:g} %\n  First: {(self.first or {}).get('message')}",
                hint="Is it another alphabet, or another array? Allow more with max_bad=; finished blocks are kept.",
            )

    def progress(self) -> Progress:
        seconds = time.perf_counter() - self.begin
        return Progress(
            self.plan.n_blocks,
            self.blocks,
            self.plan.rows,
            self.rows,
            self.reasons.total(),
            self.tokens,
            seconds,
            (self.rows - self.kept_rows) / seconds,
            (self.tokens - self.kept_tokens) / seconds,
        )

    def summary(self) -> dict[str, Any]:
        refused = dict(sorted(self.reasons.items()))
        ok = self.rows - self.reasons.total()
        return {"rows": self.rows, "ok": ok, "refused": refused, "tokens": self.tokens, "blocks": self.blocks}


def _complete(plan: PredictionPlan, layout: Layout, notes: Mapping[str, Any]) -> dict[str, Any]:
    """Writes offsets, rejects and summary, then says that the store is complete. Returns the summary."""
    refused: list[dict[str, Any]] = []
    rows = tokens = 0
    for block in range(plan.n_blocks):
        marker = read_marker(plan.output, block, plan.hash, hashes=False)
        if marker is None:
            raise IntegrityError(f"{plan.output}: block {block} is missing", hint="Give the same command again.")
        refused += marker["refused"]
        rows += marker["rows"][1] - marker["rows"][0]
        tokens += marker["tokens"]
    reasons = dict(sorted(Counter(r["reason"] for r in refused).items()))
    summary = {"rows": rows, "ok": rows - len(refused), "refused": reasons, "tokens": tokens, "blocks": plan.n_blocks}
    remove_leftovers(plan.output)  # of workers: every block is there, nobody has anything left to write
    if rows != plan.rows:
        raise IntegrityError(f"{plan.output}: its blocks have {rows} rows, the input has {plan.rows}")
    attributes = root_attributes(layout, plan.hash, complete=True, notes=notes)
    keys = final_keys(layout, plan.output, attributes)
    root = {"zarr.json": keys.pop("zarr.json")}
    lines = b"".join(_line(entry) for entry in refused)
    with resources_named(plan.output):
        unchanged = (plan.output / "zarr.json").read_bytes() == root["zarr.json"]
    if not unchanged:
        write_files_durably(plan.output, {**keys, REJECTS: lines, SUMMARY: json_bytes(summary)})
        write_files_durably(plan.output, root)
    PredictionStore.open(plan.output)
    return summary


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n"
