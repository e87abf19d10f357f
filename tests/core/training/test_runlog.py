import json
import logging

import pytest

from core.errors import ResourceError
from core.training.course import StepFacts
from core.training.runlog import MetricTable, StepLog
from tests.core.training.full_disk import files_of_at_most


def test_a_step_is_a_line_without_clocks(tmp_path):
    log = StepLog(tmp_path / "steps.jsonl")
    log.write(StepFacts(step=1, loss=1.5, grad_norm=2.0, lr=1e-3, rows="ab", tokens=64))
    log.close()
    line = json.loads((tmp_path / "steps.jsonl").read_text())
    assert line == {"step": 1, "loss": "0x1.8000000000000p+0", "rows": "ab", "tokens": 64}


def test_a_log_is_cut_back_to_what_a_checkpoint_knew(tmp_path):
    path = tmp_path / "metrics.csv"
    table = MetricTable(path, ["step", "loss", "val_nll"])
    table.write({"step": 5, "loss": 1.23456789})
    known, kept = table.length, path.read_text()
    table.write({"step": 8, "val_nll": 1.0})
    table.append("torn li")
    table.close()
    again = MetricTable(path, ["step", "loss", "val_nll"], known)
    assert path.read_text() == kept == "step,loss,val_nll\n5,1.234568,\n"
    again.write({"step": 9, "loss": 1.0})
    again.close()
    assert path.read_text() == kept + "9,1,\n"


def test_a_log_that_lost_lines_goes_on_and_says_so(tmp_path, caplog):
    path = tmp_path / "steps.jsonl"
    path.write_text("{}\n")
    with caplog.at_level(logging.WARNING):
        log = StepLog(path, 100)
    assert "lines are lost" in caplog.text
    assert log.length == 3
    log.close()


def test_a_full_disk_names_the_file(tmp_path):
    log = StepLog(tmp_path / "steps.jsonl")
    with files_of_at_most(10), pytest.raises(ResourceError, match=r"steps\.jsonl"):
        log.append("x" * 11)
    log.close()
