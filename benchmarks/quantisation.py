"""What is a perfect model of Lorenz-63 worth when its state is rounded to tokens after every step?

    python benchmarks/quantisation.py [--bins 64,256,1024,4096] [--starts 20] [--trained STEPS] [--json J] [--figure F]

The model is the equations: from a rounded state they are integrated over one sampling step, and the result is rounded
and fed back, as a model whose tokens are bins must do. What it knows is its last state alone: a model that reads
several rounded states knows more than one of them says, and with few bins it goes further. Starts, sampling and
metrics are those of `foretell evaluate` (data=lorenz63: 30 points a Lyapunov time, cap 10); about half a minute on
one core, the integration of the trajectories not counted. With `--trained` the same small Transformer is trained on
each kind of token for so many steps, by the verbs of the command line: only the tokenizer and the readout that goes
with it differ, and windows are of as many states, whatever a state's tokens.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.evaluation import Totals, bootstrap, interval
from core.report.gallery import BASELINE_COLOUR, DATA_COLOUR, GREY, MODEL_COLOUR, style
from domains.chaos.evaluation.horizon import vpt_csmape, vpt_nrmse
from domains.chaos.source import Trajectory, open_source
from domains.chaos.source.integrate import ATOL, METHOD, RTOL
from domains.chaos.tokenizer import BinsConfig, BinsTokenizer, StateTokenizer

CAP = 10.0
METRICS = ("vpt_nrmse_0.4", "vpt_csmape200_30")
STATES, SIGHT, CHANNELS = 8, 4, 3
"""States of a window, states that attention sees, numbers of a state."""
MODEL = ("model=transformer", "size=xs", "model.width=64", "model.layers=2", "model.norm=none")
LEARNING = (
    *("batching.kind=windows", "batching.batch_size=32", "training.minutes=0", "training.optimizer=muon"),
    *("training.lr=6e-3", "training.schedule=wsd", "training.decay_share=0.7", "training.weight_decay=0"),
    *("training.ema=0.999", "training.precision=fp32"),
)
"""What every trained model shares: those of experiment=chaos_small."""
Values = NDArray[np.float64]
Rounding = Callable[[Values], Values]


def main() -> None:
    given = arguments()
    source = open_source("lorenz63", test_starts=given.starts, long_trajectories=0)
    records = [record for record in source if isinstance(record, Trajectory)]
    train = [record for record in records if record.split == "train"]
    tests = [record for record in records if record.purpose == "forecast"]
    rows = []
    for name, rounded in roundings(train, given.bins):
        times, cumulative = worth(train, tests, rounded)
        rows.append({"tokens": name, **summary("vpt_nrmse_0.4", times), **summary("vpt_csmape200_30", cumulative)})
        print(line(rows[-1]), flush=True)
    trained = learned(given.bins, given.starts, given.trained) if given.trained else []
    if given.json:
        Path(given.json).write_text(json.dumps(rows + trained, indent=1) + "\n")
    if given.figure:
        draw(rows, trained, given.bins, Path(given.figure))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bins", default="64,128,256,512,1024,2048,4096", help="bins a channel, several by commas")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--trained", type=int, default=0, help="steps of training on each kind of token; 0: none")
    parser.add_argument("--json")
    parser.add_argument("--figure")
    given = parser.parse_args()
    given.bins = [int(text) for text in given.bins.split(",")]
    return given


def roundings(train: list[Trajectory], bins: list[int]) -> list[tuple[str, Rounding]]:
    """What each kind of token does to states (S, 3)."""
    found: list[tuple[str, Rounding]] = []
    for method in ("uniform", "quantile"):
        for count in bins:
            tokenizer = BinsTokenizer(BinsConfig(bins=count, method=method)).fit(train)
            found.append((f"{count} bins, {method}", tokenizer.rounded))
    return [*found, ("state, float32", StateTokenizer().rounded), ("state, float64", lambda values: values)]


def worth(train: list[Trajectory], tests: list[Trajectory], rounded: Rounding) -> tuple[Values, Values]:
    """(S,) and (S,) valid prediction times of the equations under this rounding, in Lyapunov times."""
    one = tests[0]
    steps = float(one.lyapunov_time or 1) / one.dt
    truth = np.stack([record.values[record.context :] for record in tests])
    states = rounded(np.stack([record.values[record.context - 1] for record in tests]))
    path = np.empty_like(truth)
    for k in range(truth.shape[1]):
        states = rounded(advanced(states, one.dt))
        path[:, k] = states
    sigma = np.concatenate([record.values for record in train]).std(axis=0)
    return vpt_nrmse(path, truth, sigma, steps, CAP), vpt_csmape(path, truth, steps, CAP)


def advanced(states: Values, dt: float) -> Values:
    """(S, 3) one sampling step later."""

    def rhs(t: float, flat: Values) -> Values:
        x, y, z = flat.reshape(3, -1)
        return np.concatenate([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    solved = solve_ivp(rhs, (0, dt), states.T.ravel(), method=METHOD, rtol=RTOL, atol=ATOL)
    moved: Values = solved.y[:, -1].reshape(3, -1).T
    return moved


def learned(bins: list[int], starts: int, steps: int) -> list[dict[str, object]]:
    """What a model trained on each kind of token reaches, in the order of the kinds."""
    kinds = [(f"{count} bins, uniform", ["tokenizer=chaos_bins", f"tokenizer.bins={count}"]) for count in bins]
    rows: list[dict[str, object]] = []
    for name, tokenizer in [*kinds, ("state", ["tokenizer=chaos_state"])]:
        with tempfile.TemporaryDirectory() as folder:
            store, run, out = (str(Path(folder) / part) for part in ("store.zarr", "run", "evaluation"))
            foretell("prepare", "data=lorenz63", *tokenizer, f"data.test_starts={starts}", f"store={store}")
            tokens = CHANNELS if "bins" in name else 1  # of a state: a window of either kind holds as many states
            own = [f"batching.length={STATES * tokens}", f"batching.stride={tokens}", f"model.window={SIGHT * tokens}"]
            own += ["model.products=3", "+readouts.values=mse"] if tokens == 1 else []
            keys = [*MODEL, *LEARNING, *own, f"training.steps={steps}", "views=false", "progress=false"]
            foretell("train", f"store={store}", f"run={run}", *keys)
            foretell("evaluate", f"bundle={run}/bundle", f"store={store}", f"out={out}")
            metrics = json.loads((Path(out) / "metrics.json").read_text())
        mine = {entry["name"]: entry for entry in metrics if entry["model"] == "foretell"}
        row: dict[str, object] = {"tokens": f"{name}, trained"}
        for metric in METRICS:
            row |= {metric: mine[metric]["value"]}
            row |= {f"{metric}_{end}": mine[metric][end] for end in ("low", "high")}
        rows.append(row)
        print(line(row), flush=True)
    return rows


def foretell(verb: str, *keys: str) -> None:
    quiet = {"stdout": subprocess.DEVNULL} if verb != "train" else {}
    domain = [] if verb == "evaluate" else ["domain=chaos"]
    command = [sys.executable, "-m", "pipelines.cli", verb, *domain, "threads=1", *keys]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1], **quiet)  # type: ignore[call-overload]


def summary(metric: str, times: Values) -> dict[str, float]:
    draws = bootstrap({"": Totals(times, np.ones(len(times)))}, metric)[""]
    low, high = interval(draws)
    return {metric: float(times.mean()), f"{metric}_low": low, f"{metric}_high": high}


def line(row: dict[str, object]) -> str:
    cells = [f"{row[m]:.2f} [{row[f'{m}_low']:.2f}, {row[f'{m}_high']:.2f}]" for m in METRICS]
    return f"| {row['tokens']} | {cells[0]} | {cells[1]} |"


@style()
def draw(rows: list[dict[str, object]], trained: list[dict[str, object]], bins: list[int], path: Path) -> None:
    """The equations over the number of bins with intervals; states as lines; dotted, what was learned."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    by_name = {str(row["tokens"]): row for row in rows}
    for method, colour in (("uniform", MODEL_COLOUR), ("quantile", BASELINE_COLOUR)):
        found = [by_name[f"{count} bins, {method}"] for count in bins]
        values, low, high = (
            np.array([float(str(row[f"vpt_nrmse_0.4{end}"])) for row in found]) for end in ("", "_low", "_high")
        )
        ax.fill_between(bins, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(bins, values, color=colour, marker="o", markersize=5, label=f"{method} bins")
    if trained:
        *of_bins, of_state = [float(str(row["vpt_nrmse_0.4"])) for row in trained]
        ax.plot(
            bins, of_bins, color=MODEL_COLOUR, marker="s", markersize=5, linestyle=":", label="uniform bins, trained"
        )
        ax.axhline(of_state, color=DATA_COLOUR, linewidth=2.2, linestyle=":", label="state, trained")
    state = float(str(by_name["state, float32"]["vpt_nrmse_0.4"]))
    ax.axhline(state, color=DATA_COLOUR, linewidth=2.2, label="state, float32")
    ax.axhline(CAP, color=GREY, linewidth=1, linestyle="--")
    ax.set_xscale("log", base=2)
    ax.set_xticks(bins, [str(count) for count in bins])
    ax.set_ylim(0, CAP * 1.06)
    ax.set(
        title="What rounding leaves of a perfect model" + (", and of a trained one" if trained else ""),
        xlabel="bins a channel",
        ylabel=f"Lyapunov times (vpt_nrmse_0.4, cap {CAP:g})",
    )
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.94))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
