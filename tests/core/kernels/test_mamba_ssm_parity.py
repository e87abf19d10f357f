"""Our kernels and mixers equal mamba-ssm's own code: its reference of the scan, its Triton kernels of Mamba-2.

`make parity` gives mamba-ssm an environment of its own below .venv; where neither that nor this one has it, nothing is
compared and the reason is shown.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.kernels.mamba_ssm_parity import CASES

ROOT = Path(__file__).parents[3]
PYTHONS = [Path(sys.prefix, "parity", "bin", "python"), Path(sys.executable)]
FORWARD, BACKWARD = 2e-6, 1e-5
"""Largest difference as a share of the largest value. [Seen: 4e-7, and 3e-6 where a gradient sums over all tokens.]"""
HAS_BOTH = (
    "import sys; from importlib.util import find_spec; sys.exit(not (find_spec('mamba_ssm') and find_spec('triton')))"
)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    """The script's answer: case -> quantity -> relative error."""
    having = [p for p in PYTHONS if p.is_file() and not subprocess.run([p, "-c", HAS_BOTH], cwd=ROOT).returncode]
    if not having:
        pytest.skip("mamba-ssm and triton are not installed; `make parity` installs them")
    run = subprocess.run(
        [having[0], "-m", "tests.core.kernels.mamba_ssm_parity"],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_ours_equals_theirs(case: str, found: dict[str, dict[str, float]]) -> None:
    quantities = found[case]
    assert any(name.split()[-1] == "y" for name in quantities)
    assert any(name.split()[-1].startswith("dx") or name.split()[-1] == "du" for name in quantities)
    for name, error in quantities.items():
        assert error < (BACKWARD if name.split()[-1].startswith("d") else FORWARD), (name, error)
