"""What is a starter worth? Fine-tuned from it, and learned from nothing, on more and more data of one's own.

    foretell demo preset=starter                      once, about an hour of one core
    python benchmarks/starters.py [--domains dna,music] [--amounts 100,1000] [--seeds 3]
        [--folder F] [--json J] [--figure P]

Every domain has data that its starter has not seen. Symbols and orbits have labels: `finetune task=classify|regress`,
beside the frozen embeddings of the starter and what the field uses. The others go on (`finetune task=continue`; with
`adapter=head`, which is a frozen model there) beside `train` with the starter's own preset; an amount is then of at
least so many quarters, steps or hours, told as the tokens that are trained on, and all take as many optimizer steps.
What is kept is chosen on validation, what is told is the test part, the same one for all amounts of a call.
`--folder` keeps stores and runs; a second call goes on there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.evaluation import MODEL, MetricTable, lower_is_better
from core.store import TokenStore

FROZEN, SCRATCH, TUNED = "frozen", "scratch", "starter"
STEPS = 300
"""Optimizer steps of those that go on; validated ten times."""
LEARNED, VALIDATED, TESTED = 1250, 250, 1000
"""Hours of a series; with more to learn from, validation and test lie later."""
GENERA = ("Helicobacter", "Staphylococcus", "Vibrio")
QUICK = ("progress=false", "threads=1")
BUDGET = (
    f"training.steps={STEPS}",
    "training.minutes=0",
    f"training.val_every={STEPS // 10}",
    "threads=1",
    "progress=false",
)


@dataclass(frozen=True)
class Case:
    """One domain's question."""

    data: tuple[str, ...]
    """Keys of `prepare`; {folder} is the place for files that are made first, the other names are of amounts."""
    metric: str
    task: str = "continue"
    label: str = ""
    evaluated: tuple[str, ...] = ()
    """Keys of `evaluate`, of those that go on."""
    tuned: tuple[str, ...] = ()
    """Further keys of `finetune`, of those with labels."""
    unit: str = "labels"

    @property
    def labelled(self) -> bool:
        return self.task != "continue"


CASES = {
    "dna": Case(
        ("data.path={folder}/reads.csv", "data.labels=[species]"),
        "accuracy_species",
        "classify",
        "species",
        tuned=("supervised.views=all",),  # reads are of either strand
    ),
    "proteins": Case(
        ("data=capsid", "max_length=300", "max_bad=1", "split.test=0.35", "split.validation=0.1"),
        "accuracy_capsid",
        "classify",
        "capsid",
        tuned=("supervised.conflicts=drop",),
    ),
    "molecules": Case(("data=lipophilicity",), "rmse_logd", "regress", "logd"),
    "graphs": Case(("data=lipophilicity_graphs", "max_bad=1"), "rmse_logd", "regress", "logd"),
    "time_series": Case(
        ("data.path={folder}/hours.csv", "split.test={test}", "split.validation={validation}"),
        "mase_ratio_snaive24",
        evaluated=("evaluation.origins=50", "evaluation.figures=false"),
        unit="hours",
    ),
    "chaos": Case(
        ("data.path={folder}/orbits.csv", "label_table={folder}/orbits_d.csv", "data.lyapunov=0.13"),
        "rmse_d",
        "regress",
        "d",
    ),
    "robots": Case(
        (
            "data=metaworld10",
            "data.tasks=[soccer-v3]",
            "data.episodes={episodes}",
            "split.test=0.4",
            "split.validation=0.15",
        ),
        "action_mae_",  # of each number of an action
        evaluated=("evaluation.episodes=0", "evaluation.figures=false"),
        unit="steps",
    ),
    "music": Case(
        ("data.path={folder}/pieces", "split.test=0.3", "split.validation=0.15"),
        "nats_per_token",
        evaluated=("evaluation.samples=0", "evaluation.figures=false"),
        unit="16ths of a voice",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--domains", default=",".join(CASES))
    parser.add_argument("--amounts", default="100,1000")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| domain | amount | metric | from the starter | from nothing | frozen embeddings | other baselines |")
    print("|---|---:|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as passing:
        for domain in given.domains.split(","):
            amounts = sorted(map(int, given.amounts.split(",")))
            for amount in amounts:
                folder = (given.folder or Path(passing)).absolute() / domain
                row = measured(domain, amount, amounts[-1], given.seeds, folder)
                rows.append(row)
                print(line(row), flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    if given.figure:
        draw(rows, given.figure)


def measured(domain: str, amount: int, most: int, seeds: int, folder: Path) -> dict[str, Any]:
    """Values by way, one a seed, and those of the baselines, which have no seed. most: the largest amount."""
    case = CASES[domain]
    store = folder / ("labels.zarr" if case.labelled else f"{amount}.zarr")
    if not store.exists():
        folder.mkdir(parents=True, exist_ok=True)
        whole = store if case.labelled or domain == "time_series" else folder / f"{most}.zarr"
        if not whole.exists():
            prepare(domain, case, amount if whole == store else most, whole)
        if whole != store:
            fewer(whole, amount / most, store)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        runs = (
            labelled(domain, case, amount, seed, store)
            if case.labelled
            else going_on(domain, case, amount, seed, store)
        )
        for way, value in runs:
            found.setdefault(way, []).append(value)
    spans = TokenStore.open(store).spans("train")
    return {
        "domain": domain,
        "amount": amount if case.labelled else int((spans[:, 2] - spans[:, 1]).sum()),
        **{k: v for k, v in asdict(case).items() if k in ("metric", "unit")},
        **found,
    }


def prepare(domain: str, case: Case, amount: int, store: Path) -> None:
    if domain == "music":
        chosen_pieces(store.parent / "pieces", amount)
    if domain == "dna":
        reads(store.parent / "reads.csv")
    if domain == "chaos":
        orbits(store.parent)
    if domain == "time_series":
        first_hours(store.parent / "hours.csv", amount)
    hours = amount + VALIDATED + TESTED
    names = {
        "folder": store.parent,
        "episodes": max(10, round(amount / 70 / 0.45)),
        "test": TESTED / hours,
        "validation": VALIDATED / hours,
    }
    keys = [key.format(**names) for key in case.data]
    foretell(
        "prepare", f"domain={domain}", *keys, f"tokenizer_from=starter/{domain}", f"store={store}", "progress=false"
    )


def fewer(whole: Path, share: float, path: Path) -> None:
    """A store of about a share of the training tokens, whole records, with the validation and test part as they are."""
    store = TokenStore.open(whole)
    spans = np.random.default_rng(0).permutation(store.spans("train"))
    tokens = (spans[:, 2] - spans[:, 1]).cumsum()
    rows = spans[: 1 + int(np.searchsorted(tokens, share * tokens[-1])), 0]
    others = [store.spans(part)[:, 0] for part in ("validation", "test")]
    store.subset(np.unique(np.concatenate([rows, *others])), path)


def labelled(domain: str, case: Case, amount: int, seed: int, store: Path) -> Iterator[tuple[str, float]]:
    run = store.parent / f"{amount}_{seed}"
    if not (run / "evaluation" / "metrics.json").exists():
        keys = (
            f"init_from=starter/{domain}",
            f"store={store}",
            f"run={run}",
            f"task={case.task}",
            f"label={case.label}",
        )
        foretell(
            "finetune",
            *keys,
            "scratch=true",
            f"seed={seed}",
            f"supervised.max_train={amount}",
            "supervised.max_leakage=1",
            *QUICK,
            *case.tuned,
        )
    names = {MODEL: TUNED, "from_scratch": SCRATCH}
    for row in MetricTable.read(run / "evaluation").rows:
        if row.name == case.metric and row.value is not None:
            known = FROZEN if row.model.startswith("frozen") else row.model
            yield names.get(row.model, known), row.value


def going_on(domain: str, case: Case, amount: int, seed: int, store: Path) -> Iterator[tuple[str, float]]:
    """From the starter, with all weights and with the readouts alone; from nothing. Baselines come with the first."""
    going = ("finetune", f"init_from=starter/{domain}", "task=continue")
    ways = {
        TUNED: going,
        FROZEN: (*going, "adapter=head"),
        SCRATCH: ("train", f"experiment={domain}_starter"),
    }
    for way, (verb, *keys) in ways.items():
        run = store.parent / f"{amount}_{seed}_{way}"
        out = run / "evaluation"
        if not (out / "metrics.json").exists():
            shutil.rmtree(run, ignore_errors=True)
            foretell(verb, *keys, f"store={store}", f"run={run}", f"seed={seed}", *BUDGET)
            foretell("evaluate", f"bundle={run}/bundle", f"store={store}", f"out={out}", "threads=1", *case.evaluated)
        for model, value in wholes(MetricTable.read(out), case.metric).items():
            if model == MODEL or way == TUNED:
                yield (way if model == MODEL else model), value


def wholes(table: MetricTable, metric: str) -> dict[str, float]:
    """By model the metric's value over all series or episodes, which stands first; a name that ends with _ stands for
    all that begin so, and for their mean."""
    found: dict[str, dict[str, float]] = {}
    for row in table.rows:
        named = row.name == metric or (metric.endswith("_") and row.name.startswith(metric))
        if named and row.value is not None:
            found.setdefault(row.model, {}).setdefault(row.name, row.value)
    return {model: statistics.fmean(values.values()) for model, values in found.items()}


def reads(path: Path, n: int = 15_000, length: int = 100) -> None:
    """Reads of three bacteria that the starter has not seen, from either strand: whose are they?"""
    from domains import DOMAINS

    genomes = {}
    for record in DOMAINS.get("dna").load("source")("bacteria"):
        words = record.description.split()
        species = next((" ".join(words[i : i + 2]) for i, w in enumerate(words) if w in GENERA), "")
        if species and (species not in genomes or len(record.seq) > len(genomes[species])):
            genomes[species] = record.seq
    drawn, rows = np.random.default_rng(0), ["sequence,species"]
    for i in range(n):
        species = list(genomes)[i % len(genomes)]
        start = int(drawn.integers(len(genomes[species]) - length))
        read = genomes[species][start : start + length]
        rows.append(f"{read if drawn.random() < 0.5 else read.reverse_complement()},{species}")
    path.write_text("\n".join(rows) + "\n")


def orbits(folder: Path, n: int = 15_000, points: int = 96, dt: float = 0.1) -> None:
    """Short orbits of Aizawa's flow, each with another value of its parameter d, which is to be told: orbits.csv, and
    orbits_d.csv. No flow of the starter's. The parameter turns the orbit about its axis (period 2 pi / d)."""
    drawn = np.random.default_rng(0)
    d, x = drawn.uniform(2.5, 4.5, n), drawn.uniform(-0.3, 0.3, (3, n)) + np.array([[0.1], [0.0], [0.3]])

    def flow(s: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v, w = s
        third = 0.6 + 0.95 * w - w**3 / 3 - (u**2 + v**2) * (1 + 0.25 * w) + 0.1 * w * u**3
        return np.stack([(w - 0.7) * u - d * v, d * u + (w - 0.7) * v, third])

    step, rows = dt / 10, []
    for number in range(-200, points):  # the first ones bring it to the attractor
        for _ in range(10):
            a = flow(x)
            b = flow(x + step / 2 * a)
            c = flow(x + step / 2 * b)
            x = x + step / 6 * (a + 2 * b + 2 * c + flow(x + step * c))
        if number >= 0:
            rows.append(x + drawn.normal(0, 0.01, x.shape))
    part = drawn.choice(["train", "validation", "test"], n, p=[0.7, 0.1, 0.2])
    seen = np.stack(rows)  # (points, 3, n)
    lines = ["id,split,time,x,y,z"]
    for i in range(n):
        lines += [f"o{i},{part[i]},{t * dt:.1f},{r[0]:.5f},{r[1]:.5f},{r[2]:.5f}" for t, r in enumerate(seen[:, :, i])]
    (folder / "orbits.csv").write_text("\n".join(lines) + "\n")
    (folder / "orbits_d.csv").write_text("id,d\n" + "".join(f"o{i},{value:.5f}\n" for i, value in enumerate(d)))


def chosen_pieces(folder: Path, quarters: int) -> None:
    """Movements of Palestrina's in four voices: one for each hundred quarters, and half as many again to test on."""
    import music21

    found = sorted((Path(music21.__file__).parent / "corpus" / "palestrina").glob("*.krn"))
    order = np.random.default_rng(0).permutation(len(found))
    four = (found[i] for i in order if found[i].read_text("latin-1").count("**kern") == 4)
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(max(12, round(quarters / 100 / 0.55))):  # a movement has some hundreds of quarters
        piece = next(four)
        shutil.copy(piece, folder / piece.name)


def first_hours(path: Path, hours: int) -> None:
    """A load and a road's traffic: so many hours of each, and behind them the same ones to validate and test on."""
    from domains import DOMAINS

    lines = ["unique_id,ds,y"]
    for name in ("electricity", "sf_traffic"):
        series = next(iter(DOMAINS.get("time_series").load("source")(name)))
        every = np.asarray(series.values)[:, 0]
        first = max(0, LEARNED - hours)
        part = slice(first, first + hours + VALIDATED + TESTED)
        stamps = series.start.astype("datetime64[h]") + np.arange(len(every))
        pairs = zip(stamps[part], every[part], strict=True)
        lines += [f"{name},{stamp},{value:.9g}" for stamp, value in pairs]
    path.write_text("\n".join(lines) + "\n")


def line(row: dict[str, Any]) -> str:
    known = ("domain", "amount", "metric", "unit", TUNED, SCRATCH, FROZEN)
    others = ", ".join(f"{name} {shown(values)}" for name, values in row.items() if name not in known)
    mine = [shown(row.get(name, [])) for name in (TUNED, SCRATCH, FROZEN)]
    return f"| {row['domain']} | {row['amount']:,} {row['unit']} | {row['metric']} | {' | '.join(mine)} | {others} |"


def shown(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.2g}" if len(set(values)) > 1 else ""
    return f"{statistics.fmean(values):.4g}{spread}"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A small panel a domain: the metric by amount, each seed a dot."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    domains = list(dict.fromkeys(row["domain"] for row in rows))
    figure, axes = pyplot.subplots(2, -(-len(domains) // 2), figsize=(12, 6), layout="constrained", squeeze=False)
    for ax in axes.flat[len(domains) :]:
        ax.set_axis_off()
    for domain, ax in zip(domains, axes.flat, strict=False):
        mine = [row for row in rows if row["domain"] == domain]
        for way, colour in ((TUNED, "#0072B2"), (SCRATCH, "#D55E00"), (FROZEN, "#666666")):
            points = [(row["amount"], value) for row in mine for value in row.get(way, [])]
            if points:
                x = sorted({amount for amount, _ in points})
                ax.plot(x, [statistics.fmean(v for a, v in points if a == at) for at in x], color=colour, label=way)
                ax.plot(*zip(*points, strict=True), ".", color=colour)
        better = "lower" if lower_is_better(mine[0]["metric"]) else "higher"
        ax.set(xscale="log", title=domain.replace("_", " "), xlabel=mine[0]["unit"])
        amounts = [row["amount"] for row in mine]
        ax.set_xticks(amounts, [f"{amount:,}" for amount in amounts])
        ax.minorticks_off()
        ax.set_ylabel(f"{mine[0]['metric']}, {better} is better")
    axes.flat[0].legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def foretell(verb: str, *keys: str) -> None:
    command = [sys.executable, "-m", "pipelines.cli", verb, *keys]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
