"""What answers fast imports nothing heavy: a listing of domains must not load torch or Biopython."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "lightning", "zarr", "matplotlib", "Bio", "hydra", "pandas", "scipy", "numpy")


@pytest.mark.parametrize(
    "statement",
    ["import domains", "from domains import DOMAINS; DOMAINS.get('dna').datasets"],
    ids=["import", "listing"],
)
def test_importing_domains_is_light(statement: str) -> None:
    code = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_check_can_fail() -> None:
    code = f"import sys, domains.dna.tokenizer; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Bio" in ran.stdout
