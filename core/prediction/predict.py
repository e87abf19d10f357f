"""From a token store to a prediction store, block by block: interrupted anywhere, it goes on, and the bytes are equal.

A block is whole output shards with one owner, and its bytes are a pure function of the plan. A launcher runs
`run_block(plan, index)` for the blocks that have no valid done-marker; it may do so anywhere. Only `predict` creates,
locks and completes the output.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from core.bundle import Bundle, load_bundle
from core.durable import json_bytes, new_folder, read_json, resources_named, write_files_durably
from core.errors import ConfigError, IntegrityError, ResourceError, StoppedError
from core.grammar import Grammar
from core.prediction.block import BlockRunner, Opened, layout_of
from core.prediction.layout import PLAN, REJECTS, SUMMARY, Layout, final_keys, read_marker, root_attributes
from core.prediction.plan import PredictionPlan, PredictOptions, difference, make_plan
from core.prediction.store import PredictionStore
from core.registry import Registry
from core.store import TokenStore

LOCK = ".lock"


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


Launcher = Callable[[PredictionPlan, list[int], Callable[[int], None], "Stop", Opened], None]
"""Runs the blocks of a list, calling the function with each that is done, and `Stop.check` where it may end."""


def predict(
    bundle: Path | str,
    input: Path | str,
    output: Path | str,
    *,
    what: Iterable[str] = ("score",),
    options: PredictOptions | None = None,
    launcher: str = "inprocess",
    progress: Callable[[Progress], None] | None = None,
    grammar: Callable[[Bundle], Grammar | None] | None = None,
    **settings: Any,
) -> PredictReport:
    """Predicts every row of the token store `input` into the prediction store `output`; given again, it goes on.

    Args:
        what: some of score, token_scores, embedding, sample.
        options: how.
        launcher: name in LAUNCHERS.
        progress: called after every block.
        grammar: makes the grammar of the bundle's tokenizer, where `options.grammar` asks for it.
        settings: seed, device, precision, kernel, threads, batch_tokens, exact, rows_per_block; see `make_plan`.

    Raises:
        ConfigError: a value that is not allowed; something else lies at `output`.
        IntegrityError: bundle or input is damaged (naming the rows), they do not belong together, or `output` was begun
            under another plan, the difference shown.
        ResourceError: no space, no permission, or another process is writing `output`.
        StoppedError: SIGTERM or SIGINT came; finished blocks are kept.
    """
    run = LAUNCHERS.get(launcher)
    loaded, store = load_bundle(bundle), TokenStore.open(input)
    plan = make_plan(loaded, store, Path(output), what=what, options=options, **settings)
    automaton = grammar(loaded) if grammar is not None and plan.options.grammar else None
    if plan.options.grammar and automaton is None:
        raise ConfigError("grammar: the bundle's tokenizer has none")
    layout = layout_of(plan, loaded)
    begin = time.perf_counter()
    notes = {"window": plan.options.window.describe()}
    with _claimed(plan, layout, notes), Stop() as stop:
        markers = {b: read_marker(plan.output, b, plan.hash) for b in range(plan.n_blocks)}
        todo = [b for b, marker in markers.items() if marker is None]
        found = _Tally(plan, len(markers) - len(todo), [m for m in markers.values() if m is not None], begin)

        def done(block: int) -> None:
            marker = read_marker(plan.output, block, plan.hash, hashes=False)
            if marker is None:
                raise IntegrityError(f"{plan.output}: block {block} was run but has no valid marker")
            found.add(marker)
            if progress is not None:
                progress(found.progress())

        try:
            run(plan, todo, done, stop, Opened(loaded, store, automaton))
        except StoppedError as error:
            raise StoppedError(
                error.signum,
                f"stopped by {signal.Signals(error.signum).name}: {found.blocks} of {plan.n_blocks} blocks are done",
                hint="Give the same command again to go on.",
            ) from error
        summary = _complete(plan, layout, notes)
    return PredictReport(
        plan.output,
        summary["rows"],
        summary["ok"],
        summary["refused"],
        summary["tokens"],
        plan.n_blocks,
        len(markers) - len(todo),
        time.perf_counter() - begin,
    )


def run_block(plan: PredictionPlan, index: int, grammar: Grammar | None = None) -> None:
    """Computes one block of a claimed output and writes it, its done-marker last. Any process on any machine may."""
    opened = Opened(load_bundle(plan.bundle), TokenStore.open(plan.input), grammar)
    BlockRunner(plan, opened).run(index)


def run_in_process(
    plan: PredictionPlan, todo: list[int], done: Callable[[int], None], stop: Stop, opened: Opened
) -> None:
    """The launcher `inprocess`: the blocks one after the other, here."""
    if not todo:
        return
    runner = BlockRunner(plan, opened, between=stop.check)
    for index in todo:
        stop.check()
        runner.run(index)
        done(index)


LAUNCHERS: Registry[Launcher] = Registry("launcher", {"inprocess": run_in_process})


class Stop:
    """While open, SIGTERM and SIGINT are noted; `check` raises StoppedError where the work may end. A second one kills.

    Outside the main thread, where Python allows no handlers, it notes nothing.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        signal.signal(signum, signal.SIG_DFL)

    def check(self) -> None:
        if self.signum:
            raise StoppedError(self.signum, f"stopped by {signal.Signals(self.signum).name}")


class _Tally:
    """Counts over blocks, for progress."""

    def __init__(self, plan: PredictionPlan, kept: int, markers: list[dict[str, Any]], begin: float) -> None:
        self.plan, self.begin = plan, begin
        self.blocks = self.rows = self.refused = self.tokens = 0
        for marker in markers:
            self.add(marker)
        self.kept_rows, self.kept_tokens = self.rows, self.tokens

    def add(self, marker: Mapping[str, Any]) -> None:
        self.blocks += 1
        self.rows += marker["rows"][1] - marker["rows"][0]
        self.refused += len(marker["refused"])
        self.tokens += marker["tokens"]

    def progress(self) -> Progress:
        seconds = time.perf_counter() - self.begin
        return Progress(
            self.plan.n_blocks,
            self.blocks,
            self.plan.rows,
            self.rows,
            self.refused,
            self.tokens,
            seconds,
            (self.rows - self.kept_rows) / seconds,
            (self.tokens - self.kept_tokens) / seconds,
        )


@contextmanager
def _claimed(plan: PredictionPlan, layout: Layout, notes: Mapping[str, Any]) -> Iterator[None]:
    """The output exists, belongs to this plan, and nobody else writes it."""
    output = plan.output
    if not output.exists():
        _create(plan, layout, notes)
    if not (output / PLAN).is_file():
        raise ConfigError(f"{output} exists and is not a prediction store", hint="Choose another place.")
    lock = FileLock(output / LOCK, timeout=0)
    try:
        with resources_named(output):
            lock.acquire()
    except Timeout as error:
        raise ResourceError(
            f"another process is writing {output}", hint="Wait for it, or choose another output."
        ) from error
    try:
        _same_plan(plan)
        for leftover in output.rglob("*.partial-*"):
            leftover.unlink()
        yield
    finally:
        lock.release()


def _create(plan: PredictionPlan, layout: Layout, notes: Mapping[str, Any]) -> None:
    attributes = root_attributes(layout, plan.hash, complete=False, notes=notes)
    try:
        with new_folder(plan.output) as folder:
            write_files_durably(folder, {**layout.metadata(attributes), PLAN: json_bytes(plan.identity)})
    except (ConfigError, OSError):
        if not plan.output.exists():  # else the same command was given twice at once, and the other one made it
            raise


def _same_plan(plan: PredictionPlan) -> None:
    theirs = read_json(plan.output / PLAN)
    if theirs != plan.identity:
        lines = "\n".join(f"  {line}" for line in difference(plan.identity, theirs))
        raise IntegrityError(
            f"{plan.output} was begun under another plan (there -> asked for now):\n{lines}",
            hint="Give the command it was begun with, or choose another output.",
        )


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
