"""Freed memory stays with the process: asking for it again makes no page faults."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys, torch
from core.kernels.memory import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "keep" else None
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fewest = 10**9
for i in range(6):
    start = faults()
    blocks = [torch.ones(10 * 2**20) for _ in range(2)]  # 40 MB each
    del blocks
    fewest = min(fewest, faults() - start)
print(json.dumps([done, fewest]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_another_round_of_the_same_blocks_costs_no_page_faults() -> None:
    def fewest_faults(mode: str) -> tuple[bool | None, int]:
        run = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
        done, faults = json.loads(run.stdout)
        return done, faults

    done, kept = fewest_faults("keep")
    if not done:
        pytest.skip("this C library has no mallopt")
    assert fewest_faults("give back")[1] > 10_000
    assert kept < 1_000
