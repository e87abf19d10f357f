"""A tiny genome, its store and a model of it, made once by the commands themselves, for the tests of all verbs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # tests run side by side: one thread each, set before torch counts the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time, so that a change is judged by itself; HYPOTHESIS_PROFILE=explore looks for others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

TINY = (
    "training.steps=6",
    "training.val_every=3",
    "training.save_every=3",
    "size=xs",
    "model.layers=1",
    "model.width=16",
    "batching.length=32",
    "batching.batch_size=4",
    "progress=false",
    "threads=1",
)
"""Keys that make any training run a matter of a second."""


def write_genome(path: Path, bases: int, seed: int = 0) -> Path:
    """A FASTA file of one record in which a gene recurs."""
    rng = np.random.default_rng(seed)
    gene = "ATGGCTAAAGGTGAACTGCGTTAA"
    text = "".join("".join(rng.choice(list("ACGT"), 30)) + gene for _ in range(bases // 54 + 1))[:bases]
    path.write_text(">chr1 a genome made by code\n" + "\n".join(text[i : i + 60] for i in range(0, bases, 60)) + "\n")
    return path


def foretell_cli(*arguments: object) -> int:
    """Runs a command in this process."""
    from pipelines.cli import main

    return main([str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def nothing_of_another_test() -> Iterator[None]:
    """Every test begins with the same random numbers and with subnormal ones, and the kernels that it chose are not
    chosen for the next."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
        sys.modules["torch"].set_flush_denormal(False)
    yield
    kernels = sys.modules.get("core.kernels")
    if kernels is not None:
        kernels._preferred = kernels.AUTO


@pytest.fixture(autouse=True)
def launchers_as_before() -> Iterator[None]:
    """Launchers that a test adds are gone after it: other tests read the list of those that there are."""
    yield
    launch = sys.modules.get("core.launch")
    if launch is not None:
        entries = launch.LAUNCHERS._entries
        for name in [name for name in entries if "for_a_test" in name]:
            del entries[name]


@pytest.fixture(scope="session")
def dna_genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_genome(tmp_path_factory.mktemp("dna") / "genome.fa", 24_000)


@pytest.fixture(scope="session")
def dna_store(dna_genome: Path) -> Path:
    store = dna_genome.with_name("genome.zarr")
    assert foretell_cli("prepare", "domain=dna", f"data.path={dna_genome}", f"store={store}") == 0
    return store


@pytest.fixture(scope="session")
def dna_run(dna_store: Path) -> Path:
    """A finished run folder; tests must not change it."""
    run = dna_store.with_name("run")
    assert foretell_cli("train", f"store={dna_store}", f"run={run}", *TINY) == 0
    return run
