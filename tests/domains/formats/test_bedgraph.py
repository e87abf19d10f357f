"""bedGraph: what a reader adds up is what was written."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from domains.formats import bedgraph
from domains.formats.bedgraph import Track, write_bedgraph


def lines(path: Path) -> list[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        return file.read().splitlines()


def test_equal_neighbours_share_a_line_and_gaps_have_none(tmp_path: Path) -> None:
    values = np.array([1.5, 1.5, 2.0, np.nan, 2.0])
    path = write_bedgraph(tmp_path / "a.bedgraph", [Track("chr1", 10, values)], name="bits", description='a "test"')
    assert lines(path) == [
        'track type=bedGraph name="bits" description="a \'test\'"',
        "chr1\t10\t12\t1.5",
        "chr1\t12\t13\t2",
        "chr1\t14\t15\t2",
    ]


def test_values_of_several_letters_cover_them(tmp_path: Path) -> None:
    sizes = np.array([3, 3, 0, 1])
    path = write_bedgraph(tmp_path / "a.bg", [Track("c", 0, np.array([1.0, 2, 3, 4]), sizes)], name="x")
    assert lines(path)[1:] == ["c\t0\t3\t1", "c\t3\t6\t2", "c\t6\t7\t4"]


def test_every_position_comes_back_over_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedgraph, "_BLOCK", 16)
    rng = np.random.default_rng(0)
    written = {name: rng.integers(0, 4, n).astype(np.float32) for name, n in (("a", 100), ("b", 0), ("c", 33))}
    path = tmp_path / "a.bedgraph.gz"
    write_bedgraph(path, (Track(name, 5, values) for name, values in written.items()), name="x")
    read = {name: np.full(len(values), np.nan) for name, values in written.items()}
    for line in lines(path)[1:]:
        name, start, stop, value = line.split("\t")
        piece = read[name][int(start) - 5 : int(stop) - 5]
        assert np.isnan(piece).all()
        piece[:] = float(value)
    assert all((read[name] == written[name]).all() for name in written)
    before = path.read_bytes()
    write_bedgraph(path, (Track(name, 5, values) for name, values in written.items()), name="x")
    assert path.read_bytes() == before


def test_an_unfinished_file_is_not_left_behind(tmp_path: Path) -> None:
    def broken():
        yield Track("a", 0, np.ones(3))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_bedgraph(tmp_path / "a.bedgraph", broken(), name="x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"\.bedgraph"):
        write_bedgraph(tmp_path / "a.wig", [], name="x")
