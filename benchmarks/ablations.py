"""What does a recipe's idea add here? Each question trains the same model with it and without it, by the verbs.

    python benchmarks/ablations.py splice [--init starter/dna]  classes as tokens beside a logistic regression
    python benchmarks/ablations.py jointly [--steps 150]        two tasks of proteins in one model, or each in its own
    python benchmarks/ablations.py dna_tasks [--steps 600]      four data sets of DNA, from a model of DNA: the same
    python benchmarks/ablations.py protein_tasks [--steps 600]  three of proteins, from a model of proteins
    python benchmarks/ablations.py views [--steps 300]          reads of a strand in other orders while training, or not
    ... [--json J] [--folder F] [key=value, for `train`]

Tasks are answered with the grammar and without it. `--folder` keeps stores and runs, and a
second call goes on there. CPU seconds of one thread, seed 0.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.evaluation import MODEL, MetricTable, Totals
from core.store import TokenStore

PENALTIES = (0.1, 1.0, 10.0)
"""Of the logistic regression, chosen on the validation part; sums over records, not means."""
LEARNING = (
    *("training.minutes=0", "training.optimizer=muon", "training.lr=6e-3", "training.schedule=wsd"),
    *("training.decay_share=0.5", "training.warmup_steps=20", "threads=1", "progress=false"),
)
SMALL = ("model=transformer", "size=xs", "batching.kind=buckets", "batching.length=96", "batching.batch_size=32")
AMYLOID = {
    "nucleation": ("tasks.nucleation.kind=number", "tasks.nucleation.column=score"),
    "charged": ("tasks.charged.kind=positions", "tasks.charged.letters=DEKR"),
}
"""Two tasks of the same records: one of measured labels, one that the letters answer."""
DNA = {
    "junction": ("splice", "tasks.junction.kind=classes", "tasks.junction.column=class"),
    "psi": ("mpsa", "tasks.psi.kind=number", "tasks.psi.column=log10_psi"),
    "brightness": ("sortseq", "tasks.brightness.kind=number", "tasks.brightness.column=mean_bin"),
    "structure": ("gene_structures", "tasks.structure.kind=per_token", "tasks.structure.piece=128"),
}
"""Data set and task, each with a store of its own: what Omni-DNA (arXiv 2502.03499) does with its tasks."""
PROTEINS = {
    "soluble": ("soluble", "tasks.soluble.kind=classes"),
    "accessible": ("accessibility", "tasks.accessible.kind=per_token", "tasks.accessible.piece=64"),
    "site": ("mmp2_sites", "tasks.site.kind=per_token", "tasks.site.piece=64"),
}
"""The same of Prot2Token's (arXiv 2505.20589)."""
Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--steps", type=int, default=0, help="of a model of one task; 0: as the question says")
    parser.add_argument(
        "--init", help="of `splice`: the bundle or starter that goes on; none: the preset, from nothing"
    )
    parser.add_argument("--clusters", type=int, default=0, help="of `views`: how many are made; 0: none is read twice")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("keys", nargs="*", help="further keys of `train`")
    given = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as made:
        rows = QUESTIONS[given.question](Path(given.folder or made), given)
    for row in rows:
        print("| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


def splice(folder: Path, given: argparse.Namespace) -> Rows:
    """Accuracy of every fold, then over all records; the regression sees the same training and validation parts."""
    right: dict[str, list[NDArray[np.bool_]]] = {MODEL: [], "one_hot_logistic": []}
    rows: Rows = []
    for fold in given.folds.split(","):
        store, run, out = (folder / f"fold{fold}" / name for name in ("splice.zarr", "run", "evaluation"))
        preset, place = "experiment=dna_splice_small", (f"store={store}", f"run={run}", "progress=false")
        if given.init:
            asked = ("domain=dna", "data=splice", *DNA["junction"][1:], f"tokenizer_from={given.init}")
            made(store, *asked, f"data.fold={fold}")
            budget = (f"training.steps={given.steps or 600}", "threads=1")
            foretell("finetune", f"init_from={given.init}", "task=tokens", *place, *budget, *given.keys)
        else:
            made(store, preset, f"data.fold={fold}")
            foretell("train", preset, *place, *given.keys)
        foretell("evaluate", f"bundle={run}", f"store={store}", f"out={out}", "evaluation.max_rows=0")
        with (out / "answers.csv").open() as lines:
            answers = {line["id"]: line["answer"] == line["truth"] for line in csv.DictReader(lines)}
        names, guessed, truth = logistic(TokenStore.open(store))
        right[MODEL].append(np.array([answers[name] for name in names]))
        right["one_hot_logistic"].append(guessed == truth)
        rows.append({"fold": fold, **{model: float(found[-1].mean()) for model, found in right.items()}})
    table = MetricTable()
    totals = {m: np.concatenate(found).astype(np.float64) for m, found in right.items()}
    table.measure("accuracy", {m: Totals(t, np.ones(len(t))) for m, t in totals.items()}, split="splice/all")
    return rows + [
        {"metric": r.name, "model": r.model, "value": r.value, "low": r.low, "high": r.high} for r in table.rows
    ]


def logistic(store: TokenStore) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Ids of the test part, the classes that a regression on one-hot bases says, and the right ones."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    spans = {part: store.spans(part)[:, 0].tolist() for part in ("train", "validation", "test")}
    letters = {part: np.stack([store[i].arrays["tokens"][:60] for i in rows]) for part, rows in spans.items()}
    known, size = np.unique(letters["train"]), 60
    x = {
        part: np.concatenate([(t[:, :, None] == known).reshape(len(t), -1), np.ones((len(t), 1))], 1).astype(float)
        for part, t in letters.items()
    }
    classes, number = np.unique(np.array(store.labels("class").tolist()), return_inverse=True)
    y = {part: number[rows] for part, rows in spans.items()}
    shape = (size * len(known) + 1, len(classes))
    aim = np.eye(len(classes))[y["train"]]

    def fitted(penalty: float) -> NDArray[np.float64]:
        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(shape)
            logs = log_softmax(x["train"] @ weights, axis=1)
            slope = x["train"].T @ (np.exp(logs) - aim) + penalty * weights
            return float(-(logs * aim).sum() + 0.5 * penalty * (weights**2).sum()), slope.ravel()

        found: NDArray[np.float64] = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x
        return found.reshape(shape)

    tried = [fitted(penalty) for penalty in PENALTIES]
    best = max(tried, key=lambda w: float(((x["validation"] @ w).argmax(1) == y["validation"]).mean()))
    return [store.ids[i] for i in spans["test"]], (x["test"] @ best).argmax(1), y["test"]


def jointly(folder: Path, given: argparse.Namespace) -> Rows:
    """One model of both tasks with twice the steps of a model of one: as many steps a task."""
    steps, rows = given.steps or 150, []
    for tasks in (*((name,) for name in AMYLOID), tuple(AMYLOID)):
        store, run, out = (folder / "_".join(tasks) / name for name in ("amyloid.zarr", "run", "evaluation"))
        made(store, "domain=proteins", "data=amyloid", *(key for name in tasks for key in AMYLOID[name]))
        budget = f"training.steps={steps * len(tasks)}"
        foretell("train", f"store={store}", f"run={run}", *SMALL, *LEARNING, budget, *given.keys)
        foretell("evaluate", f"bundle={run}", f"store={store}", f"out={out}", "evaluation.max_rows=500")
        rows += shown(out, " and ".join(tasks), ("spearman_", "rmse_", "exact_", "f1_"))
    return rows


def in_turn(domain: str, questions: Mapping[str, tuple[str, ...]], folder: Path, given: argparse.Namespace) -> Rows:
    """The domain's starter goes on with each task alone, or with all of them in turn: as many steps a task."""
    start, steps, rows, stores = f"starter/{domain}", given.steps or 600, [], {}
    for name, (data, *keys) in questions.items():
        before = f"tokenizer_from={list(stores.values())[-1] if stores else start}"
        stores[name] = folder / f"{name}.zarr"
        made(stores[name], f"domain={domain}", f"data={data}", before, *keys)
    for tasks in (tuple(questions), *((name,) for name in questions)):
        run, listed = folder / "_".join(tasks), ",".join(str(stores[name]) for name in tasks)
        budget = (f"training.steps={steps * len(tasks)}", "threads=1", "progress=false")
        learnt = (f"init_from={start}", "task=tokens", f"store=[{listed}]", f"run={run}")
        foretell("finetune", *learnt, *budget, *given.keys)
        for name in tasks:
            out = folder / f"{run.name}_on_{name}"
            foretell("evaluate", f"bundle={run}", f"store={stores[name]}", f"out={out}")
            rows += shown(out, " and ".join(tasks), ("accuracy_", "spearman_", "rmse_", "f1_units_", "f1_runs_"))
    return rows


def views(folder: Path, given: argparse.Namespace) -> Rows:
    """The smoke preset of traces, every cluster read in the order it came, or in another one each time it comes."""
    preset, store, rows = "experiment=dna_traces_smoke", folder / "traces.zarr", []
    made(store, preset, *([f"data.clusters={given.clusters}"] if given.clusters else []))
    for asked in ("true", "false"):
        run, out = (folder / f"views_{asked}" / name for name in ("run", "evaluation"))
        budget = ("training.minutes=0", f"training.steps={given.steps or 300}", f"views={asked}", "progress=false")
        foretell("train", preset, f"store={store}", f"run={run}", *budget, *given.keys)
        foretell("evaluate", preset, f"bundle={run}", f"store={store}", f"out={out}", "evaluation.clusters=1000")
        rows += shown(out, f"views={asked}", ("success_rate", "levenshtein_ratio", "bits_per_base"))
    return rows


def shown(out: Path, what: str, metrics: tuple[str, ...]) -> Rows:
    """Rows of an evaluation whose names begin like one of `metrics`, differences left out."""
    found = [r for r in MetricTable.read(out).rows if r.name.startswith(metrics) and "_minus_" not in r.name]
    return [
        {"trained": what, "metric": r.name, "model": r.model, "value": r.value, "low": r.low, "high": r.high}
        for r in found
    ]


def made(store: Path, *keys: str) -> None:
    if not store.exists():
        store.parent.mkdir(parents=True, exist_ok=True)
        foretell("prepare", f"store={store}", "progress=false", *keys)


def foretell(verb: str, *keys: str) -> None:
    command = [sys.executable, "-m", "pipelines.cli", verb, *keys]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL)


QUESTIONS: dict[str, Callable[[Path, argparse.Namespace], Rows]] = {
    "splice": splice,
    "jointly": jointly,
    "dna_tasks": partial(in_turn, "dna", DNA),
    "protein_tasks": partial(in_turn, "proteins", PROTEINS),
    "views": views,
}

if __name__ == "__main__":
    main()
