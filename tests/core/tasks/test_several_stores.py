"""Tasks of several data sets in one model: each store brings its own behind those before, and no row is torn apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import foretell
from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.errors import ConfigError, IntegrityError
from core.evaluation import MetricTable
from core.recipe import Source, readable, suited_batching, widest
from core.store import TokenStore
from core.tasks.forms import Classes, Number
from core.tokenizer import restore
from domains import tokenizer_classes
from tests.conftest import foretell_cli

SHORT = ("training.steps=6", "training.minutes=0", "progress=false", "threads=1")
SMALL = ("size=xs", "model.layers=1", "model.width=16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences of three tables, each with its own label; a model that has read the first."""
    folder = tmp_path_factory.mktemp("stores")
    rng = np.random.default_rng(0)
    for table, label, most in (("a", "kind", 12), ("b", "strength", 20), ("c", "other", 40)):
        lines = [f"id,sequence,{label}"]
        for i in range(60):
            letters = "".join(rng.choice(list("ACGT"), rng.integers(8, most)))
            lines.append(f"{table}{i},{letters},{rng.choice(['x', 'y']) if table == 'a' else f'{rng.normal():.3f}'}")
        (folder / f"{table}.csv").write_text("\n".join(lines) + "\n")
    made = prepare(folder, "a", "plain.zarr")
    assert foretell_cli("train", f"store={made.path}", f"run={folder / 'base'}", *SMALL, *SHORT) == 0
    before = folder / "base"
    for table, task, kind in (("a", "kind", "classes"), ("b", "strength", "number"), ("c", "other", "number")):
        prepare(folder, table, f"{table}.zarr", f"tokenizer_from={before}", f"tasks.{task}.kind={kind}")
        before = folder / f"{table}.zarr"
    return folder


def prepare(folder: Path, table: str, name: str, *keys: str) -> TokenStore:
    given = ("domain=dna", f"data.path={folder / f'{table}.csv'}", f"store={folder / name}", "split.rule=random")
    assert foretell_cli("prepare", *given, "split.validation=0.2", "progress=false", *keys) == 0
    return TokenStore.open(folder / name)


def stores(folder: Path, *names: str) -> list[TokenStore]:
    return [TokenStore.open(folder / f"{name}.zarr") for name in names]


def source(folder: Path, *names: str) -> Source:
    listed = stores(folder, *names)
    tokenizer = restore(widest(listed).tokenizer, tokenizer_classes())
    return Source(listed, [1.0] * len(listed), tokenizer, SequenceDataModule)


def test_the_store_with_all_tasks_reads_the_others(folder: Path) -> None:
    listed = stores(folder, "b", "c", "a")
    assert widest(listed) is listed[1]
    assert widest(listed[:1]) is listed[0]
    readable(listed[2], listed[1].tokenizer, "c")
    with pytest.raises(IntegrityError, match="tasks"):
        readable(listed[1], listed[2].tokenizer, "a")


def test_what_is_known_of_a_task_is_not_asked_of_other_data() -> None:
    number = Number("score", low=0.0, high=1.0)
    assert number.fit([], 5) is number
    kind = Classes("kind", classes=("x", "y"))
    assert kind.fit([], 5) is kind


@pytest.mark.parametrize("order", [["a", "b", "c"], ["c", "a", "b"]])
def test_one_model_learns_them_all_from_a_model_of_plain_sequences(folder: Path, order: list[str]) -> None:
    run = folder / "_".join(order)
    listed = ",".join(str(folder / f"{name}.zarr") for name in order)
    keys = ("task=tokens", f"store=[{listed}]", f"run={run}", *SHORT)
    assert foretell_cli("finetune", f"init_from={folder / 'base'}", *keys) == 0
    for name, metric in (("a", "accuracy_kind"), ("b", "spearman_strength"), ("c", "spearman_other")):
        out = run / f"on_{name}"
        asked = (f"store={folder / f'{name}.zarr'}", f"out={out}", "evaluation.resamples=100")
        assert foretell_cli("evaluate", f"bundle={run}", *asked) == 0
        assert metric in {row.name for row in MetricTable.read(out).rows}
    model = foretell.load(run)
    assert model.answer("ACGTACGT", "kind")[0].value in ("x", "y")
    assert model.answer("ACGTACGT", "other")[0].value is not None


def test_rows_of_questions_are_read_whole(folder: Path) -> None:
    """The domain would cut at its usual length."""
    tasks = source(folder, "c")
    longest = int(np.diff(tasks.stores[0].spans()[:, 1:]).max())
    short = BatchingConfig(kind="buckets", length=8, batch_size=3)
    chosen = suited_batching(with_batching(tasks, short), {})
    assert (chosen.length, chosen.long, chosen.batch_tokens) == (longest + 1, "refuse", longest + 2)
    cut = suited_batching(with_batching(tasks, short), {"length": 10})
    assert (cut.length, cut.long) == (10, "refuse")
    windows = suited_batching(with_batching(tasks, BatchingConfig(kind="windows")), {})
    assert (windows.kind, windows.long) == ("buckets", "refuse")
    sized = suited_batching(with_batching(tasks, replace(short, batch_tokens=12)), {"batch_size": 5})
    assert (sized.batch_size, sized.batch_tokens, sized.length) == (5, None, longest + 1)
    assert suited_batching(with_batching(tasks, short), {"batch_tokens": 20}).length == 19
    packed = suited_batching(with_batching(tasks, replace(short, batch_size=99)), {"kind": "packed"})
    assert packed.batch_size * packed.length <= 99 * 8
    for cutting in ({"kind": "windows"}, {"long": "window"}):
        with pytest.raises(ConfigError, match="cut answers off"):
            suited_batching(tasks, cutting)


def with_batching(tasks: Source, batching: BatchingConfig) -> Source:
    class Chosen:
        def __init__(self, *_: object, **__: object) -> None:
            self.batching = batching

    return Source(tasks.stores, tasks.weights, tasks.tokenizer, Chosen)  # type: ignore[arg-type]
