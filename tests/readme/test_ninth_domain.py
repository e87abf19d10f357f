"""The package of docs/examples is installed apart from foretell, found by its entry point, and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "stacking"


def test_it_is_as_short_as_its_page_says() -> None:
    files = [*EXAMPLE.glob("*.py"), *EXAMPLE.glob("foretell_stacking/*.py")]
    assert sum(bool(line.strip()) for file in files for line in file.read_text().splitlines()) < 200


@pytest.mark.slow
def test_a_package_of_its_own_is_a_domain(tmp_path: Path) -> None:
    install = ("-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet", "--target", tmp_path / "site")
    copy = tmp_path / "stacking"
    copy.mkdir()
    subprocess.run(["cp", "-r", *EXAMPLE.iterdir(), copy], check=True)
    subprocess.run([sys.executable, *install, copy], check=True)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, copy / "test_stacking.py"]
    done = subprocess.run(tests, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    listed = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "domains"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "stacking" in listed.stdout
