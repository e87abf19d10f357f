"""Which adapter and which rate, for how many labels? Measured on one store; chosen on validation, told on the test.

    foretell prepare domain=dna data.path=reads.csv data.labels=[species] tokenizer_from=starter/dna store=reads.zarr
    python benchmarks/recipes.py --init starter/dna --store reads.zarr --task classify --label species
        [--amounts 100,1000,10000] [--adapters head,full,lora] [--rates 1e-4,3e-4,1e-3,3e-3] [--seeds 1] [--folder F]
        [--json J] [--figure P] [key=value, for `finetune`]

A head alone has one line: its embeddings stay what they are, and its rate hardly matters. `kept epoch` is the one with
the best validation loss; 0 is the regression on frozen embeddings that every head starts from.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.evaluation import MODEL, MetricTable, lower_is_better
from core.finetuning.config import LEARNING_RATES

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--init", required=True, help="a bundle, a run or starter/DOMAIN")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--task", required=True, choices=("classify", "regress"))
    parser.add_argument("--label", required=True)
    parser.add_argument("--amounts", default="100,1000,10000")
    parser.add_argument("--adapters", default="head,full,lora")
    parser.add_argument("--rates", default="1e-4,3e-4,1e-3,3e-3")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keeps the runs; a second call goes on there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("keys", nargs="*", help="further keys of `finetune`")
    given = parser.parse_args()
    print("| labels | adapter | rate | validation, nats | kept epoch | metric | fine-tuned | frozen | seconds |")
    print("|---:|---|---:|---:|---:|---|---:|---:|---:|")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as passing:
        for amount in map(int, given.amounts.split(",")):
            for adapter in given.adapters.split(","):
                for rate in rates(adapter, given.rates):
                    folder = (given.folder or Path(passing)).absolute()
                    runs = [tuned(given, amount, adapter, rate, seed, folder) for seed in range(given.seeds)]
                    rows.append(joined(runs))
                    print(line(rows[-1]), flush=True)
    for amount, best in chosen(rows).items():
        print(f"{amount:,} labels: {best['adapter']} at {best['rate']:g}, chosen on validation; {told(best)}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    if given.figure:
        draw(rows, given.figure)


def rates(adapter: str, given: str) -> Iterator[float]:
    """Those to try, least first."""
    yield from [LEARNING_RATES["head"]] if adapter == "head" else sorted(map(float, given.split(",")))


def tuned(given: argparse.Namespace, amount: int, adapter: str, rate: float, seed: int, folder: Path) -> Row:
    run = folder / f"{amount}_{adapter}_{rate:g}_{seed}"
    if not (run / "bundle" / "metrics.json").exists():
        keys = {
            "init_from": given.init,
            "store": given.store,
            "run": run,
            "task": given.task,
            "label": given.label,
            "adapter": adapter,
            "seed": seed,
            "supervised.lr": rate,
            "supervised.max_train": amount,
            "supervised.max_leakage": 1,
            "threads": 1,
        }
        command = [
            sys.executable,
            "-m",
            "pipelines.cli",
            "finetune",
            *(f"{key}={value}" for key, value in keys.items()),
            *given.keys,
        ]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL)
    found = json.loads((run / "bundle" / "metrics.json").read_text())
    table = MetricTable.read(run / "evaluation")
    name = next(row.name for row in table.rows if row.model == MODEL)
    frozen = next(row.value for row in table.rows if row.name == name and row.model.startswith("frozen"))
    said = table.find(name)
    return {
        "amount": amount,
        "adapter": adapter,
        "rate": rate,
        "validation": found["validation_nats"],
        "epoch": found["best_epoch"],
        "metric": name,
        "value": said.value if said else None,
        "frozen": frozen,
        "seconds": found["seconds_training"],
    }


def joined(runs: list[Row]) -> Row:
    """Means over seeds."""
    means = {key: statistics.fmean(run[key] for run in runs) for key in ("validation", "value", "frozen", "seconds")}
    return {**runs[0], **means, "epoch": statistics.median(run["epoch"] for run in runs)}


def chosen(rows: list[Row]) -> dict[int, Row]:
    """The best on validation, by amount."""
    amounts = dict.fromkeys(row["amount"] for row in rows)
    return {
        n: min((row for row in rows if row["amount"] == n), key=lambda row: float(row["validation"])) for n in amounts
    }


def told(row: Row) -> str:
    return f"{row['metric']} {row['value']:.4g}, frozen {row['frozen']:.4g}"


def line(row: Row) -> str:
    return (
        f"| {row['amount']:,} | {row['adapter']} | {row['rate']:g} | {row['validation']:.4f} | {row['epoch']:g} "
        f"| {row['metric']} | {row['value']:.4g} | {row['frozen']:.4g} | {row['seconds']:.0f} |"
    )


def draw(rows: list[Row], path: Path) -> None:
    """A panel an amount: the metric by rate, a line an adapter, and what the frozen embeddings give."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    amounts = list(dict.fromkeys(row["amount"] for row in rows))
    figure, axes = pyplot.subplots(
        1, len(amounts), figsize=(4 * len(amounts), 3.2), layout="constrained", squeeze=False
    )
    colours = {"full": "#0072B2", "lora": "#D55E00", "dora": "#009E73", "ia3": "#CC79A7"}
    for amount, ax in zip(amounts, axes[0], strict=True):
        mine = [row for row in rows if row["amount"] == amount]
        for adapter in dict.fromkeys(row["adapter"] for row in mine if row["adapter"] in colours):
            points = sorted((row["rate"], row["value"]) for row in mine if row["adapter"] == adapter)
            ax.plot(*zip(*points, strict=True), "o-", color=colours[adapter], label=adapter)
        ax.axhline(mine[0]["frozen"], color="#666666", linestyle="--", label="frozen embeddings")
        best = chosen(mine)[amount]
        if best["adapter"] in colours:
            ax.plot(best["rate"], best["value"], "o", markersize=12, fillstyle="none", color="black", label="chosen")
        better = "lower" if lower_is_better(mine[0]["metric"]) else "higher"
        ax.set(xscale="log", xlabel="peak rate", title=f"{amount:,} labels")
        ax.set_ylabel(f"{mine[0]['metric']}, {better} is better")
    axes[0][0].legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
