"""A verb as a Hydra app, with a task of a few lines in place of a real one."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, ResourceError, StoppedError
from pipelines.hydra_app import run
from pipelines.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Keys(Settings):
    run: Path = Path("run")
    """Where."""
    times: int = 1
    tokenizer: dict[str, Any] = field(default_factory=dict)


def call(task: Any, *arguments: str) -> int:
    return run("report", "a verb for tests", Keys, task, arguments)


def test_the_task_gets_checked_options() -> None:
    seen: list[Keys] = []
    assert call(seen.append, "run=a,b", "times=3", "tokenizer=kmer", "tokenizer.k=6") == 0
    assert seen == [Keys(run=Path("a,b"), times=3, tokenizer={"name": "kmer", "k": 6})]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(lambda options: None) == 0
    assert call(lambda options: None, "--multirun", "times=1,2") == 0
    assert list(tmp_path.iterdir()) == []


def test_help_and_cfg_run_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Keys] = []
    assert call(seen.append, "--help") == 0
    assert "  run=run\n      Where." in capsys.readouterr().out
    assert call(seen.append, "--cfg", "job", "times=7") == 0
    assert "times: 7" in capsys.readouterr().out
    assert seen == []


def test_a_sweep_runs_every_combination_in_order() -> None:
    seen: list[Keys] = []
    assert call(seen.append, "-m", "times=1,2", "run=a,b") == 0
    assert [(k.times, str(k.run)) for k in seen] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


@pytest.mark.parametrize(
    "error, code",
    [
        (InputError("x"), 3),
        (ResourceError("x"), 5),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 5),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 5),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), 3),
        (MemoryError(), 5),
        (RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), 5),
        (ZeroDivisionError("a defect"), 1),
        (StoppedError(signal.SIGTERM, "stopped"), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes_also_in_a_sweep(error: BaseException, code: int) -> None:
    def task(options: Keys) -> None:
        if options.times == 2:
            raise error

    assert call(task, "times=2") == code
    assert call(task, "-m", "times=1,2,3") == code


def test_a_failed_job_does_not_keep_the_others_from_running_but_a_signal_does() -> None:
    seen: list[int] = []

    def fails(options: Keys) -> None:
        seen.append(options.times)
        if options.times < 3:
            raise InputError("x") if options.times == 1 else ResourceError("y")

    assert call(fails, "-m", "times=1,2,3") == 3
    assert seen == [1, 2, 3]
    seen.clear()

    def stopped(options: Keys) -> None:
        seen.append(options.times)
        raise StoppedError(signal.SIGTERM, "stopped")

    assert call(stopped, "-m", "times=1,2") == 143
    assert seen == [1]


def test_a_config_dir_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = tmp_path / "mine" / "size"
    group.mkdir(parents=True)
    (group / "own.yaml").write_text("# @package _global_\ntimes: 9\n")
    seen: list[Keys] = []
    assert call(seen.append, "--config-dir", str(tmp_path / "mine"), "+size=own") == 0
    assert seen[0].times == 9
    for text in ("_target_: os.system\n", "# @package hydra.job_logging\nroot: x\n"):
        (group / "own.yaml").write_text(text)
        assert call(seen.append, "--config-dir", str(tmp_path / "mine"), "+size=own") == 2
        assert call(seen.append, f"--config-dir={tmp_path / 'mine'}", "+size=own") == 2
    assert len(seen) == 1
    assert "configs hold values" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argument",
    ["+tokenizer._target_=os.system", "tokenizer={_target_: os.system}", "tokenizer={a: [{_partial_: true}]}"],
)
def test_no_config_names_a_python_object(argument: str) -> None:
    assert call(lambda options: pytest.fail("must not run"), argument) == 2
