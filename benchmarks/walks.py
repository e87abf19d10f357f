"""Which walk over graphs is the best to learn: how long, how likely it makes graphs, how many of its samples are right?

    python benchmarks/walks.py [--data tree] [--nodes 20,32] [--steps 150] [--samples 200] [--json J] [--folder F]

The same model learns the same graphs with the same number of steps and graphs in each, read by every walk; only the
tokenizer differs, by the verbs of the command line. Nats an edge are averages over walks, so they compare; V.U.N. is of
all samples, drawn without a grammar. `--folder` keeps stores, runs and evaluations. At the defaults about three minutes
of one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WALKS = {
    "SENT, random walk": ("graph_sent", "tokenizer.order=walk"),
    "SENT, lexdfs": ("graph_sent", "tokenizer.order=lexdfs"),
    "edge list, bfs": ("graph_edges", "tokenizer.order=bfs"),
    "Euler": ("graph_euler",),
}
LEARNING = (
    *("model.width=96", "model.layers=4", "model.pattern=SASA", "batching.kind=buckets", "batching.length=512"),
    *("batching.batch_size=32", "training.minutes=0", "training.optimizer=muon", "training.lr=6e-3"),
    *("training.schedule=wsd", "training.decay_share=0.5", "training.warmup_steps=20"),
)
"""What all share: those of experiment=graphs_smoke."""
METRICS = ("tokens_a_graph", "nats_per_edge_8_walks", "valid_parse_share", "vun_all")


def main() -> None:
    given = arguments()
    rows = []
    print("| walk | tokens | nats an edge, 8 walks | parse | V.U.N. of all |\n|---|---:|---:|---:|---:|")
    for name, tokenizer in WALKS.items():
        with tempfile.TemporaryDirectory() as passing:
            folder = Path(given.folder or passing) / name.replace(", ", "_").replace(" ", "_")
            rows.append({"walk": name, **measured(given, tokenizer, folder)})
        print(line(rows[-1]), flush=True)
    if given.json:
        Path(given.json).write_text(json.dumps(rows, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="tree", help="a family that code makes")
    parser.add_argument("--nodes", default="20,32", help="fewest and most")
    parser.add_argument("--count", type=int, default=5000, help="training graphs")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--json")
    parser.add_argument("--folder")
    return parser.parse_args()


def measured(given: argparse.Namespace, tokenizer: tuple[str, ...], folder: Path) -> dict[str, list[float]]:
    """Of each metric value and interval."""
    kind, *options = tokenizer
    store, run, out = (str(folder / part) for part in ("store.zarr", "run", "evaluation"))
    made = (f"data={given.data}", f"data.nodes=[{given.nodes}]", f"data.count={given.count}", "data.held_out=200")
    room = f"tokenizer.max_nodes={given.nodes.split(',')[-1]}"
    foretell("prepare", "domain=graphs", *made, f"tokenizer={kind}", room, *options, f"store={store}")
    foretell("train", "domain=graphs", f"store={store}", f"run={run}", f"training.steps={given.steps}", *LEARNING)
    sampled = (f"evaluation.samples={given.samples}", "evaluation.grammar_samples=0", "evaluation.max_graphs=64")
    foretell("evaluate", f"bundle={run}/bundle", f"store={store}", f"out={out}", *sampled, "evaluation.figures=false")
    entries = json.loads((Path(out) / "metrics.json").read_text())
    found = {(entry["name"], entry["model"]): entry for entry in entries}
    chosen = {name: found[name, kind if name == "tokens_a_graph" else "foretell"] for name in METRICS}
    return {name: [entry[key] for key in ("value", "low", "high")] for name, entry in chosen.items()}


def foretell(verb: str, *keys: str) -> None:
    command = [sys.executable, "-m", "pipelines.cli", verb, "threads=1", "progress=false", *keys]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def line(row: dict[str, object]) -> str:
    cells = []
    for metric, digits in zip(METRICS, (0, 3, 2, 2), strict=True):
        value, low, high = row[metric]  # type: ignore[misc]
        interval = "" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
        cells.append(f"{value:.{digits}f}{interval}")
    return f"| {row['walk']} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
