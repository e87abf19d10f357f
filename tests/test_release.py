"""What is handed out: an sdist and a wheel that hold all that is needed, and one version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from core.version import __version__

ROOT = Path(__file__).parents[1]
BESIDE_CODE = {".yaml", ".css", ".js", ".cpp", ".h", ".csv", ".typed"}


def test_the_citation_is_of_this_version() -> None:
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == __version__


def test_what_is_installed_fits_together() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_wheel_made_of_the_sdist_holds_every_file_and_works_alone(tmp_path: Path) -> None:
    packages = ("core", "domains", "pipelines", "configs")
    copy = tmp_path / "tree"
    for name in packages:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("foretell.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    sdist = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run([sys.executable, "-c", sdist], cwd=copy, check=True, capture_output=True)
    (source,) = tmp_path.glob("foretell-*.tar.gz")
    wheel = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source]
    subprocess.run([sys.executable, *wheel], check=True)
    (built,) = tmp_path.glob("foretell-*.whl")
    assert built.name.startswith(f"foretell-{__version__}-")
    inside = set(zipfile.ZipFile(built).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for name in packages
        for path in (ROOT / name).rglob("*")
        if path.suffix in {".py", *BESIDE_CODE} and "__pycache__" not in path.parts
    }
    assert wanted <= inside
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, built], check=True
    )
    run = [
        sys.executable,
        "-P",
        "-c",
        "import foretell, sys; from pipelines.cli import main; print(foretell.__file__); main(['domains'])",
    ]
    done = subprocess.run(
        run, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(site))
    assert "chaos" in done.stdout
