"""A stand-in for SLURM, for the tests of all jobs that launchers do."""

import os
import stat
import sys

import pytest

SBATCH = """#!{python}
# Stands in for SLURM's: runs every task of the array, two at a time, and waits for them.
import os, re, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
script = sys.argv[-1]
text = open(script).read()
last = int(re.search(r"^#SBATCH --array=0-(\\d+)$", text, re.M)[1])
output = re.search(r"^#SBATCH --output=(.*)$", text, re.M)[1]
def task(i):
    with open(output.replace("%a", str(i)), "w") as log:
        return subprocess.run(["bash", script], env=os.environ | {{"SLURM_ARRAY_TASK_ID": str(i)}}, stdout=log,
                              stderr=log).returncode
with ThreadPoolExecutor(2) as pool:
    codes = list(pool.map(task, range(last + 1)))
print("4711")
sys.exit(max(codes))
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A folder on the PATH with a stand-in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH.format(python=sys.executable))
    (folder / "sbatch").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
