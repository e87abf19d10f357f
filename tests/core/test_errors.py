"""What a name or a path that is not there is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import nearest, nearest_path
from core.places import place


@pytest.mark.parametrize(
    "name, known, guess",
    [
        ("dan", ("dna", "music"), "dna"),
        ("DNA", ("dna", "music"), "dna"),
        ("time-series", ("time_series", "robots"), "time_series"),
        ("lroa", ("full", "lora", "ia3"), "lora"),
        ("mole", ("dna", "molecules"), "molecules"),
        ("lorenz36", ("lorenz63", "lorenz96", "Lorenz96"), "lorenz96"),
    ],
)
def test_the_nearest_name(name: str, known: tuple[str, ...], guess: str) -> None:
    assert nearest(name, known) == f"; did you mean '{guess}'?"


def test_nothing_is_better_than_a_wild_guess() -> None:
    assert nearest("metric", ("device", "seed")) == ""
    assert nearest("m", ("molecules",)) == nearest("anything", ()) == ""


def test_the_nearest_path_looks_where_the_path_breaks_off(tmp_path: Path) -> None:
    bundle = tmp_path / "run" / "bundle"
    bundle.mkdir(parents=True)
    (tmp_path / "own.zarr.rejects.jsonl").touch()
    assert nearest_path(tmp_path / "own.zarr") == ""
    assert nearest_path(tmp_path / "run" / "bundel") == f"; did you mean '{bundle}'?"
    assert nearest_path(tmp_path / "rnu" / "bundle") == f"; did you mean '{bundle}'?"
    assert nearest_path(tmp_path / "rnu" / "elsewhere") == f"; did you mean '{tmp_path / 'run'}'?"
    assert nearest_path(bundle) == nearest_path(tmp_path / "thesis") == ""
    assert nearest_path(place("memory://run/bundel")) == ""


def test_a_relative_path_stays_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("store.zarr").mkdir()
    assert nearest_path(Path("stroe.zarr")) == "; did you mean 'store.zarr'?"
