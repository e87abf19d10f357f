"""Trajectories that are made here: found by name, integrated once, kept in the cache, given observation noise.

The cache holds one array and one description a trajectory, named by a hash of all that it is a function of; a damaged
one is made again. A trajectory depends on its own counters only, so asking for more test starts changes no other.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.durable import write_files_durably
from core.errors import ConfigError, nearest
from core.order import rng
from core.places import cache_folder
from core.rejects import Reject
from domains.chaos.source.dysts_systems import WORKS, allowed, dysts_system, listed
from domains.chaos.source.integrate import (
    ATOL,
    METHOD,
    RTOL,
    IntegrationError,
    fresh_start,
    measure_lyapunov,
    sample,
)
from domains.chaos.source.own_system import own_system
from domains.chaos.source.sampling import TRANSIENT, Orbit, SamplingConfig, orbits, sampling_step
from domains.chaos.source.systems import BUILT_IN, System, changed
from domains.chaos.source.trajectory import Trajectory, Values

_VERSION = 1
"""Raised when the same description would give another trajectory."""


@dataclass(frozen=True)
class Wanted:
    """A system by what it is found by: crosses to worker processes, where a System's functions cannot."""

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    file: str | None = None
    """A Python file that defines it, of the user's own."""

    def find(self) -> System:
        """Raises ConfigError for a name that is not known (the nearest is shown) or known not to work."""
        if self.file is not None:
            return changed(own_system(Path(self.file)), self.parameters)
        if self.name in BUILT_IN:
            return changed(BUILT_IN[self.name], self.parameters)
        known = listed()
        if self.name not in known:
            names = [*BUILT_IN, *allowed()]
            raise ConfigError(
                f"there is no system '{self.name}'{nearest(self.name, names)}",
                hint=f"Built in: {', '.join(BUILT_IN)}; of dysts: the {len(allowed())} of its systems that work.",
            )
        if known[self.name].status != WORKS:
            raise ConfigError(
                f"system '{self.name}' of dysts is not used: {known[self.name].status}",
                hint="The list is domains/chaos/source/dysts_systems.csv.",
            )
        return changed(dysts_system(self.name), self.parameters)


@dataclass(frozen=True)
class Made:
    """One system's trajectories as they came out."""

    system: System
    values: dict[str, Values]
    """By orbit id."""
    digests: dict[str, str]
    """sha256 of each array's file."""
    failed: dict[str, tuple[str, str]]
    """Orbit id to (reason, message)."""


def make(
    wanted: Wanted,
    config: SamplingConfig,
    *,
    held_out: bool,
    seconds: float,
    only: Collection[str] | None = None,
    failed: Mapping[str, tuple[str, str]] | None = None,
) -> Made:
    """Every trajectory of one system, from the cache where it is there.

    Args:
        seconds: of integration for all of them together.
        only: ids of those that are asked for; None: all.
        failed: what is known to fail, by id, and is not tried again.

    Raises ConfigError as `Wanted.find`, IntegrationError where its Lyapunov exponent cannot be measured.
    """
    deadline = time.monotonic() + seconds
    system = with_lyapunov(wanted.find(), seconds)
    made = Made(system, {}, {}, dict(failed or {}))
    dt = sampling_step(system, config.points_per_lyapunov_time)
    for orbit in orbits(system, config, held_out=held_out):
        if orbit.id in made.failed or (only is not None and orbit.id not in only):
            continue
        try:
            made.values[orbit.id], made.digests[orbit.id] = _cached(system, orbit, dt, deadline)
        except IntegrationError as error:
            made.failed[orbit.id] = (error.reason, str(error))
    return made


def make_all(
    wanted: list[tuple[Wanted, bool]], config: SamplingConfig, *, seconds: float, workers: int
) -> Iterator[Made | tuple[Wanted, IntegrationError]]:
    """`make` of every (system, held_out), in order.

    Args:
        workers: processes that fill the cache first; 1: none but this one.
    """
    failures: list[dict[str, tuple[str, str]]] = [{} for _ in wanted]
    if workers > 1:
        jobs = _jobs(wanted, config, seconds, workers)
        with ThreadPoolExecutor(workers) as pool:
            for number, found in pool.map(_in_a_process, jobs):
                failures[number].update(found)
    for (system, held_out), failed in zip(wanted, failures, strict=True):
        try:
            yield make(system, config, held_out=held_out, seconds=seconds, failed=failed)
        except IntegrationError as error:
            yield system, error


@dataclass(frozen=True)
class Job:
    """Trajectories that one process puts into the cache."""

    number: int
    """Of the system among those wanted."""
    wanted: Wanted
    config: SamplingConfig
    held_out: bool
    seconds: float
    only: tuple[str, ...]

    def run(self) -> dict[str, tuple[str, str]]:
        """What failed, by id."""
        try:
            made = make(self.wanted, self.config, held_out=self.held_out, seconds=self.seconds, only=self.only)
        except IntegrationError as error:
            return dict.fromkeys(self.only, (error.reason, str(error)))
        return made.failed


def _jobs(wanted: list[tuple[Wanted, bool]], config: SamplingConfig, seconds: float, workers: int) -> list[Job]:
    """The missing trajectories of all systems; those of a few systems shared out so that every worker has some."""
    jobs = []
    plain = SamplingConfig(**{f.name: getattr(config, f.name) for f in fields(SamplingConfig)})
    shares = -(-workers // len(wanted))
    for number, (one, held_out) in enumerate(wanted):
        system = one.find()
        if not system.lyapunov:
            continue  # it is measured here, once, before anything else
        dt = sampling_step(system, config.points_per_lyapunov_time)
        missing = [o for o in orbits(system, config, held_out=held_out) if not _is_there(system, o, dt)]
        parts: list[list[Orbit]] = [[] for _ in range(shares)]
        for orbit in sorted(missing, key=lambda o: -o.points):
            min(parts, key=lambda part: sum(o.points for o in part)).append(orbit)
        jobs += [Job(number, one, plain, held_out, seconds, tuple(o.id for o in part)) for part in parts if part]
    return jobs


def _in_a_process(job: Job) -> tuple[int, dict[str, tuple[str, str]]]:
    """Runs worker.py: a new Python, so that neither a fork of torch's threads nor the user's main module is in it."""
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "domains.chaos.source.worker"],
        input=json.dumps(asdict(job)),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return job.number, {}  # made here then, where an error shows whole
    return job.number, {name: (reason, message) for name, (reason, message) in json.loads(done.stdout).items()}


def trajectories(made: Made, config: SamplingConfig, *, held_out: bool) -> Iterator[Trajectory | Reject]:
    """The orbits of one system in order, with observation noise where there is any, and a Reject for each that failed.

    Noise is a share of each channel's standard deviation over the system's first training trajectory (of the long test
    one where the system is held out). A forecast trajectory has it in its context only.
    """
    system = made.system
    reference = next(iter(made.values.values()), None)
    for values in made.values.values():
        if held_out and reference is not None and len(values) > len(reference):
            reference = values
    deviation = np.zeros(1) if reference is None else reference.std(axis=0)
    dt = sampling_step(system, config.points_per_lyapunov_time)
    for index, orbit in enumerate(orbits(system, config, held_out=held_out)):
        if orbit.id in made.failed:
            reason, message = made.failed[orbit.id]
            yield Reject("", index, orbit.id, None, None, reason, message)
            continue
        values = made.values[orbit.id]
        if config.noise:
            noisy = orbit.context or orbit.points
            drawn = rng("chaos-noise", system.name, *orbit.counters).standard_normal((noisy, values.shape[1]))
            values = values.copy()
            values[:noisy] += config.noise * deviation * drawn
        yield Trajectory(
            orbit.id,
            values,
            system.channels,
            dt,
            1 / system.lyapunov if system.lyapunov else None,
            system.name,
            {k: float(v) for k, v in system.parameters.items() if np.ndim(v) == 0},
            orbit.split,
            orbit.purpose,
            orbit.context,
            config.noise,
        )


def with_lyapunov(system: System, seconds: float) -> System:
    """`system` with its exponent, measured from two orbits where nothing says it; the cache keeps what was measured.

    Raises IntegrationError as `measure_lyapunov`.
    """
    if system.lyapunov:
        return system
    step = 1.0 if system.discrete else system.dt or _default_step(system)
    facts = {"lyapunov": system.name, **system.facts(), "dt": step, **_solver()}
    place = _place(facts).with_suffix(".json")
    known = _read_json(place)
    if known is None:
        known = {**facts, "exponent": measure_lyapunov(system, step, seconds=seconds)}
        write_files_durably(place.parent, {place.name: json.dumps(known, indent=1).encode()})
    source = f"two orbits pulled together every {step:.4g} (Benettin et al. 1976)"
    return replace(system, lyapunov=float(known["exponent"]), lyapunov_source=source)


def _default_step(system: System) -> float:
    """The step that the system is sampled with under its usual parameters."""
    usual = BUILT_IN.get(system.name) or dysts_system(system.name)
    return sampling_step(usual)


def _cached(system: System, orbit: Orbit, dt: float, deadline: float) -> tuple[Values, str]:
    facts = _facts(system, orbit, dt)
    place = _place(facts)
    known = _read_json(place.with_suffix(".json"))
    array = place.with_suffix(".npy")
    if known is not None and array.is_file():
        content = array.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest == known.get("sha256"):
            return np.load(io.BytesIO(content), allow_pickle=False), digest
    assert system.lyapunov is not None
    start = fresh_start(system, *orbit.counters)
    transient = TRANSIENT / system.lyapunov
    values = sample(system, start, orbit.points, dt, transient=transient, seconds=deadline - time.monotonic())
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    described = json.dumps({**facts, "sha256": digest}, indent=1).encode()
    write_files_durably(place.parent, {array.name: file.getvalue(), f"{place.name}.json": described})
    return values, digest


def _is_there(system: System, orbit: Orbit, dt: float) -> bool:
    place = _place(_facts(system, orbit, dt))
    return place.with_suffix(".json").is_file() and place.with_suffix(".npy").is_file()


def _facts(system: System, orbit: Orbit, dt: float) -> dict[str, Any]:
    """All that a trajectory is a function of."""
    return {
        "system": system.name,
        **system.facts(),
        "dt": dt,
        "points": orbit.points,
        "transient_lyapunov_times": TRANSIENT,
        "lyapunov_exponent": system.lyapunov,
        "lyapunov_source": system.lyapunov_source,
        "counters": list(orbit.counters),
        **_solver(),
    }


def _solver() -> dict[str, Any]:
    return {"method": METHOD, "rtol": RTOL, "atol": ATOL, "version": _VERSION}


def _place(facts: Mapping[str, Any]) -> Path:
    text = json.dumps(facts, sort_keys=True)
    return cache_folder() / "chaos" / hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
