"""`foretell predict` over what a user has: a Zarr group of their own, raw files, a URL."""

import json
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import zarr

from core.prediction.store import PredictionStore
from tests.conftest import foretell_cli

READS = ["ACGTACGTTGCA", "GGGTTTACA", "ACGNNACGT", "TTTTTTTT"]


def own_group(path: Path, reads: list[str]) -> Path:
    group = zarr.open_group(path, mode="w")
    letters = group.create_array("letters", shape=(len(reads),), dtype="string", dimension_names=("read",))
    letters[:] = np.array(reads, dtype=object)
    names = group.create_array("read", shape=(len(reads),), dtype="string", dimension_names=("read",))
    names[:] = np.array([f"read_{i}" for i in range(len(reads))], dtype=object)
    return path


def test_a_group_of_ones_own_and_the_same_reads_as_a_file(
    dna_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, table = own_group(tmp_path / "own.zarr", READS), tmp_path / "own.csv"
    file = tmp_path / "reads.fa"
    file.write_text("".join(f">read_{i}\n{read}\n" for i, read in enumerate(READS)))
    one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
    keys = (f"bundle={dna_run}", "threads=1")
    said = (f"input={own}", "input.array=letters", f"output={one}", f"table={table}")
    assert foretell_cli("predict", *keys, *said) == 0
    assert f"predictions in {one}; next: foretell describe {one}" in capsys.readouterr().out
    assert foretell_cli("predict", *keys, f"input={file}", f"output={two}") == 0
    a, b = PredictionStore.open(one), PredictionStore.open(two)
    assert a.ids == b.ids == [f"read_{i}" for i in range(4)]
    assert np.allclose(a["nll"], b["nll"])
    assert np.allclose(a["bits_per_base"], a["nll"] / np.log(2) / [len(read) for read in READS])
    assert pd.read_csv(table)["id"].tolist() == a.ids
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.zarr", "own.csv", "own.zarr", "reads.fa", "two.zarr"]


def test_exit_codes_tell_keys_from_data(dna_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = own_group(tmp_path / "own.zarr", [*READS, "ACGT!"])
    out = f"output={tmp_path / 'out.zarr'}"
    for keys, code, words in (
        ((f"input={own}", "input.array=leters"), 2, "did you mean 'letters'"),
        ((f"input={own}",), 3, "row 4: "),
        ((), 2, "input= is required"),
        ((f"input={own}", "max_bad=2"), 2, "max_bad"),
        ((f"input={own}", "what=[token_scores]", "tracks=t.bedgraph"), 2, "records of a token store"),
    ):
        assert foretell_cli("predict", f"bundle={dna_run}", out, *keys) == code
        assert words in capsys.readouterr().err
    assert foretell_cli("predict", f"bundle={dna_run}", out, f"input={own}", "max_bad=0.5") == 0
    assert PredictionStore.open(tmp_path / "out.zarr").summary["refused"] == {"bad_letter": 1}


def test_an_output_at_a_url(dna_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, url = own_group(tmp_path / "own.zarr", READS), "memory://scores/out.zarr"
    fsspec.filesystem("memory").store.clear()
    assert foretell_cli("predict", f"bundle={dna_run}", f"input={own}", f"output={url}") == 0
    assert f"predictions in {url}" in capsys.readouterr().out
    assert len(PredictionStore.open(url)) == 4
    assert foretell_cli("describe", url) == 0
    assert "complete" in capsys.readouterr().out


def test_describe_tells_how_complete_a_prediction_is_and_what_was_refused(
    dna_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, out = own_group(tmp_path / "own.zarr", [*READS, "ACGT!"]), tmp_path / "out.zarr"
    asked = ("predict", f"bundle={dna_run}", f"input={own}", f"output={out}", "max_bad=0.5", "rows_per_block=1")
    assert foretell_cli(*asked, f"block_range=[1,{len(READS) + 1}]") == 0
    assert "1 of " in capsys.readouterr().out
    lacking = {"blocks": 1, "first": ["0 (rows 0 to 0)"]}
    for rest, state, missing in ((), "incomplete", lacking), (asked, "complete", None):
        assert not rest or foretell_cli(*rest) == 0
        capsys.readouterr()
        assert foretell_cli("describe", out, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["state"], told["missing"], told["refused"]) == (state, missing, {"bad_letter": 1})
    assert told["ok"] == len(READS)
    assert told["made of"] == {"input": "own.zarr", "bundle": f"{dna_run.name}/bundle"}
    assert told["summary"]["rows"] == told["summary"]["ok"] + sum(told["summary"]["refused"].values())
