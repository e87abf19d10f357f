"""What several workers bring: `predict` over one store by each launcher in turn, one thread a worker.

    python benchmarks/launchers.py [--rows 8192] [--repeats 5] [--launchers inprocess:1 local:2 dask:2] [--json]

Starting workers is part of the time. The rate of the blocks alone stands beside it: from the first block that is done
to the last, which is what counts where there are many. The processor's seconds of all processes together say, also on
a machine that others use, what the launcher itself costs: their slope over --rows is free of the start. The outputs are
compared byte by byte.
Bars: two local workers >= 1.7x one; Dask adds <= 10 % over local.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.predict import make
from core.durable import manifest
from core.launch.options import LaunchOptions
from core.prediction.predict import Progress, predict


def run(folder: Path, output: Path, launcher: str, workers: int, rows_per_block: int) -> tuple[float, float, float]:
    """Seconds in all, rows a second between the first block that was done and the last, and the processor's seconds."""
    moments: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        moments.append((time.perf_counter(), progress.rows_done))

    begin, cpu = time.perf_counter(), cpu_seconds()
    predict(
        folder / "bundle",
        folder / "in.zarr",
        output,
        what=["score"],
        threads=1,
        rows_per_block=rows_per_block,
        launcher=launcher,
        launch=LaunchOptions(workers=workers),
        progress=note,
    )
    (first, rows_first), (last, rows_last) = moments[0], moments[-1]
    return time.perf_counter() - begin, (rows_last - rows_first) / (last - first), cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--rows-per-block", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", default="xs")
    parser.add_argument("--launchers", nargs="+", default=["inprocess:1", "local:1", "local:2", "dask:2"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in args.launchers}
    rates: dict[str, list[float]] = {name: [] for name in args.launchers}
    spent: dict[str, list[float]] = {name: [] for name in args.launchers}
    contents = set()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, args.rows, "A", args.size)
        for i in range(args.repeats):
            for name in args.launchers:
                launcher, _, workers = name.partition(":")
                output = folder / f"{launcher}{workers}-{i}.zarr"
                took, rate, cpu = run(folder, output, launcher, int(workers or 1), args.rows_per_block)
                seconds[name].append(took)
                rates[name].append(rate)
                spent[name].append(cpu)
                contents.add(json.dumps(manifest(output), sort_keys=True))
    first = args.launchers[0]
    result = {
        name: {
            "seconds": round(statistics.median(seconds[name]), 2),
            "cpu_seconds": round(statistics.median(spent[name]), 2),
            "rows_per_second": round(statistics.median(rates[name])),
            f"rate_over_{first}": round(
                statistics.median(b / a for a, b in zip(rates[first], rates[name], strict=True)), 3
            ),
        }
        for name in args.launchers
    }
    result["bytes"] = {"different outputs": len(contents)}
    if args.json:
        print(json.dumps(result))
        return
    for name, figures in result.items():
        print(f"{name:14} " + "  ".join(f"{key} {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
