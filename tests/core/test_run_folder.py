"""A run folder belongs to one run: the same goes on, another is refused with the difference shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError, IntegrityError
from core.run_folder import CONFIG, LOCK, claim, claimed, difference, read_config

RUN: dict[str, Any] = {
    "domain": "dna",
    "data": [{"store": "/a.zarr", "fingerprint": "f", "weight": 1.0}],
    "training": {"steps": 10, "tokens": 0, "lr": 0.1, "betas": [0.9, 0.95], "logger": "csv"},
    "workers": 0,
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**RUN, **changes}


def test_the_same_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    assert claim(run, RUN) is False
    assert claim(run, RUN) is True
    other = changed(training={**RUN["training"], "lr": 0.2})
    with pytest.raises(IntegrityError, match=r"training\.lr: 0\.1 -> 0\.2"):
        claim(run, other)
    assert {key: read_config(run)[key] for key in RUN} == RUN


@pytest.mark.parametrize(
    "now",
    [
        changed(workers=4),
        changed(data=[{"store": "/moved.zarr", "fingerprint": "f", "weight": 1.0}]),
        changed(training={**RUN["training"], "logger": "tensorboard"}),
        changed(training={**RUN["training"], "steps": 20}),
    ],
)
def test_what_may_change_is_kept_as_it_is_now(now: dict[str, Any], tmp_path: Path) -> None:
    claim(tmp_path, RUN)
    assert claim(tmp_path, now) is True
    assert {key: read_config(tmp_path)[key] for key in now} == now


@pytest.mark.parametrize(
    "now, key",
    [
        (changed(training={**RUN["training"], "steps": 5}), "training.steps"),
        (changed(training={**RUN["training"], "steps": 0, "tokens": 99}), "training.steps"),
        (changed(training={**RUN["training"], "betas": [0.9, 0.99]}), "training.betas"),
        (changed(data=[{"store": "/a.zarr", "fingerprint": "g", "weight": 1.0}]), "data.0.fingerprint"),
        (changed(data=RUN["data"] * 2), "data.1.fingerprint"),
        (changed(seed=3), "seed"),
    ],
)
def test_what_may_not_change(now: dict[str, Any], key: str) -> None:
    assert any(line.startswith(f"{key}: ") for line in difference(RUN, now))


def test_what_a_person_would_call_the_difference_stands_first(tmp_path: Path) -> None:
    claim(tmp_path, {**RUN, "batching": dict.fromkeys("abcdef", 1)})
    now = changed(task="classify", data=[{"store": "/x/b.zarr", "fingerprint": "g"}], batching=dict.fromkeys("abcdef"))
    with pytest.raises(IntegrityError) as raised:
        claim(tmp_path, now)
    lines = [line.strip() for line in raised.value.message.splitlines()[1:]]
    assert lines[:2] == ["task: nothing -> classify", "store: a.zarr -> b.zarr"]
    assert len(lines) == 6
    assert lines[-1] == "and 3 more"


def test_a_folder_is_given_back_where_the_run_never_began(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def refuse(left: str) -> None:
        with claimed(run, RUN):
            (run / left).touch()
            raise ConfigError("no such optimizer")

    for left, kept in ((LOCK, False), ("plan.json", True), (LOCK, True)):
        with pytest.raises(ConfigError, match="no such optimizer"):
            refuse(left)
        assert run.exists() == kept
    assert {key: read_config(run)[key] for key in RUN} == RUN


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        claim(tmp_path, RUN)


def test_a_config_that_is_not_plain_is_refused(tmp_path: Path) -> None:
    for text, said in (
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("format: foretell/run\nformat_version: 1\ndomain: ${oc.env:HOME}\n", "interpolation"),
        ("format: foretell/run\nformat_version: 99\n", "format_version"),
        ("just text", "not the config of a run"),
        ("a: [", "not YAML"),
        ("a: !!python/object/apply:os.system [echo]\n", "not YAML"),
    ):
        (tmp_path / CONFIG).write_text(text)
        with pytest.raises(IntegrityError, match=said):
            read_config(tmp_path)
    (tmp_path / CONFIG).unlink()
    with pytest.raises(ConfigError, match="not a run folder"):
        read_config(tmp_path)
    with pytest.raises(ConfigError, match="there is no run folder at"):
        read_config(tmp_path / "elsewhere")


def test_repeated_values_are_written_without_aliases(tmp_path: Path) -> None:
    shared = [1, 2]
    claim(tmp_path, {"a": shared, "b": shared})
    assert read_config(tmp_path)["b"] == [1, 2]
