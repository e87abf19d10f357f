"""Makes the allow-list: tries every flow of dysts with a time limit and writes down what was seen.

    python -m domains.chaos.source.try_systems domains/chaos/source/dysts_systems.csv

A system works where two trajectories from fresh initial conditions, 3,000 points at the step that data sets use, stay
bounded and in motion within the limit. 10 to 20 minutes on one core.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

from core.errors import ForetellError
from domains.chaos.source.dysts_systems import WORKS, Listed, dysts_system, flows_of_dysts
from domains.chaos.source.integrate import IntegrationError, fresh_start, sample
from domains.chaos.source.sampling import TRANSIENT, sampling_step

POINTS = 3000
SECONDS = 20.0
"""A trajectory: Lorenz-63 takes one."""


def try_system(name: str) -> Listed:
    """What was seen of one system."""
    system = dysts_system(name)
    lyapunov, period = float(system.lyapunov or 0), float(system.period or 0)
    facts = (name, len(system.channels), lyapunov, period)
    began = time.monotonic()
    if lyapunov <= 0:
        return Listed(*facts, 0.0, "no positive Lyapunov exponent")
    try:
        for trial in range(2):
            sample(
                system,
                fresh_start(system, "trial", trial),
                POINTS,
                sampling_step(system),
                transient=TRANSIENT / lyapunov,
                seconds=SECONDS,
            )
    except IntegrationError as error:
        return Listed(*facts, time.monotonic() - began, error.reason)
    return Listed(*facts, (time.monotonic() - began) / 2, WORKS)


def main(out: Path) -> None:
    flows, _ = flows_of_dysts()
    names = sorted(
        name
        for name, kind in vars(flows).items()
        if isinstance(kind, type) and issubclass(kind, flows.DynSys) and kind is not flows.DynSys
    )
    with open(out, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "dimension", "lyapunov", "period", "seconds", "status"])
        for name in names:
            try:
                seen = try_system(name)
            except (ForetellError, ArithmeticError, AttributeError, TypeError, ValueError) as error:
                seen = Listed(name, 0, 0.0, 0.0, 0.0, f"cannot be read: {type(error).__name__}")
            figures = (f"{seen.lyapunov:.6g}", f"{seen.period:.6g}", f"{seen.seconds:.1f}")
            writer.writerow([seen.name, seen.dimension, *figures, seen.status])
            file.flush()
            print(f"{seen.name}: {seen.status}, {seen.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
