"""Two gloo processes under torchrun train the steps of one, and what they save one loads, and the other way round."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from tests.core.training.run_tiny import run
from tests.core.training.tiny import lines

CHANGES = {"steps": 12, "save_every": 6, "dropout": 0.0, "schedule": "constant", "warmup_steps": 0, "device": "cpu"}

pytestmark = pytest.mark.slow


def torchrun(folder, **changes):
    command = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    script = ["-m", "tests.core.training.run_tiny", str(folder), json.dumps({**CHANGES, **changes})]
    return subprocess.Popen(
        [sys.executable, *command, *script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def on_two(folder, **changes):
    process = torchrun(folder, **changes)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def on_one(folder, **changes):
    run(folder, {**CHANGES, **changes})


def assert_close(a, b):
    """The same batches, losses within float32's reach, weights that differ by less than a step changes."""
    for mine, theirs in zip(lines(a), lines(b), strict=True):
        assert (mine["rows"], mine["tokens"]) == (theirs["rows"], theirs["tokens"])
        assert float.fromhex(mine["loss"]) == pytest.approx(float.fromhex(theirs["loss"]), abs=2e-4)
    for file in ("model", "ema", "optimizer"):
        mine, theirs = (load_file(run / f"checkpoints/step-000000012/{file}.safetensors") for run in (a, b))
        assert mine.keys() == theirs.keys()
        for name, tensor in mine.items():
            torch.testing.assert_close(tensor, theirs[name], atol=5e-3, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("strategy,optimizer", [("ddp", "adamw"), ("fsdp", "adamw"), ("fsdp", "muon")])
def test_two_processes_train_as_one_and_each_loads_what_the_other_saved(tmp_path, strategy, optimizer):
    changes = {"optimizer": optimizer, "accumulate": 2, "lr": 1e-3}
    on_one(tmp_path / "one", **changes)
    on_two(tmp_path / "two", strategy=strategy, **changes)
    assert_close(tmp_path / "one", tmp_path / "two")
    on_two(tmp_path / "two_then_one", strategy=strategy, **{**changes, "steps": 6})
    on_one(tmp_path / "two_then_one", strategy=strategy, **changes)
    assert_close(tmp_path / "one", tmp_path / "two_then_one")
    on_one(tmp_path / "one_then_two", **{**changes, "steps": 6})
    on_two(tmp_path / "one_then_two", strategy=strategy, **changes)
    assert_close(tmp_path / "one", tmp_path / "one_then_two")
    bundles = [json.loads((tmp_path / name / "bundle/metrics.json").read_text()) for name in ("one", "two")]
    assert bundles[0]["val_nll"] == pytest.approx(bundles[1]["val_nll"], abs=1e-3)


def test_sigterm_stops_all_processes_after_one_step(tmp_path):
    process = torchrun(tmp_path / "run", steps=5000, val_every=5000, save_every=5000)
    log = tmp_path / "run/steps.jsonl"
    while process.poll() is None and not (log.exists() and len(log.read_bytes()) > 2000):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert output.count("stopped by SIGTERM after step") == 2, output
    checkpoints = [int(p.name[5:]) for p in (tmp_path / "run/checkpoints").iterdir()]
    assert checkpoints == [len(lines(tmp_path / "run"))]
