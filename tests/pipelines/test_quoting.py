"""What a user types reaches the verb as typed, whatever Hydra's grammar thinks of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from pipelines.quoting import normalise, split_list


@dataclass(frozen=True)
class Inner:
    lr: float = 0.1
    rule: str = "last"


@dataclass(frozen=True)
class Keys:
    store: Path
    prefix: str = ""
    steps: int = 1
    what: tuple[str, ...] = ()
    betas: tuple[float, ...] = ()
    inner: Inner = field(default_factory=Inner)
    data: dict[str, Any] = field(default_factory=dict)


NAMED = {"data.path": tuple[Path, ...]}


def read(argument: str, multirun: bool = False) -> Any:
    """The value that Hydra makes of an argument after the front end has seen it."""
    (line,) = normalise([argument], Keys, NAMED, multirun)
    override = OverridesParser.create().parse_override(line)
    if override.is_sweep_override():
        parser = OverridesParser.create()
        return [parser.parse_override(f"k={v}").value() for v in override.sweep_string_iterator()]
    value = override.value()
    return [str(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "path",
    ["reads[1].fa", "a,b.zarr", "run#1", "it's here", "a b.fa", "x=y", "größe.fa", "c:\\d\\", "{x}", "(a)", "1e5"],
)
def test_odd_paths_come_through(path: str) -> None:
    assert str(read(f"store={path}")) == path


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda t: "${" not in t))
def test_any_path_comes_through(text: str) -> None:
    path = f"x/{text}z"
    assert str(read(f"store={path}")) == path


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(read("store=~/x.zarr")) == "/home/ada/x.zarr"
    assert read("data.path=[~/a.fa,b.fa]") == ["/home/ada/a.fa", "b.fa"]


def test_lists_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read("data.path=[a.fa,b.fa]") == ["a.fa", "b.fa"]
    assert read("data.path=[reads[1].fa, 'b,c.fa']") == ["reads[1].fa", "b,c.fa"]
    assert read("data.path=a.fa,b.fa") == ["a.fa", "b.fa"]
    (tmp_path / "a.fa,b.fa").touch()
    assert read("data.path=a.fa,b.fa") == "a.fa,b.fa"  # a file of that name is there
    assert read("data.path=reads/*.fa") == "reads/*.fa"


def test_texts_stay_texts() -> None:
    assert read("prefix=NAN") == "NAN"
    assert read("prefix=1234") == "1234"
    assert read("prefix=A,C") == "A,C"
    assert read("prefix=A#C") == "A#C"
    assert read("what=score,embed") == ["score", "embed"]
    assert read("what=score") == ["score"]
    assert read("betas=0.9,0.95") == ["0.9", "0.95"]
    assert read("steps=12") == 12
    assert read("inner.rule=given") == "given"


def test_commas_make_jobs_in_a_sweep() -> None:
    assert read("steps=1,2", multirun=True) == [1, 2]
    assert read("prefix=A,C", multirun=True) == ["A", "C"]
    assert [str(v) for v in read("store=a#1.zarr,b.zarr", multirun=True)] == ["a#1.zarr", "b.zarr"]
    assert str(read("store='a,b.zarr'", multirun=True)) == "a,b.zarr"
    assert normalise(["store=runs/${steps}"], Keys, NAMED, True) == ["store='runs/${steps}'"]


def test_words_and_keys_below_open_fields() -> None:
    assert normalise(["data=ecoli"], Keys, NAMED, False) == ["++data.name=ecoli"]
    assert normalise(["data.column=seq"], Keys, NAMED, False) == ["++data.column=seq"]


@pytest.mark.parametrize(
    "argument",
    [
        "store",
        "=x",
        "",
        "hydra.run.dir=x",
        "+hydra/launcher=y",
        "x@hydra.callbacks=z",
        "_target_=os.system",
        "data._target_=a",
    ],
)
def test_refused(argument: str) -> None:
    with pytest.raises(ConfigError):
        normalise([argument], Keys, NAMED, False)


def test_split_list() -> None:
    assert split_list("a, 'b,c' ,\"d\"") == ["a", "b,c", "d"]
    assert split_list("") == []
