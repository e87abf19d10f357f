"""Pairs of rows compared, and scores of both strands: the numbers of plain scoring, put side by side."""

import numpy as np
import pytest

from core.engine import Engine
from core.errors import ConfigError, IntegrityError
from core.prediction.block import BlockRunner
from core.prediction.plan import PredictOptions
from core.prediction.predict import predict
from core.prediction.store import PredictionStore
from core.store import TokenStoreWriter
from core.window_policy import WindowPolicy
from tests.core.prediction.test_predict import keys
from tests.core.tiny import DNA, LETTERS, TOKENIZER, records, tiny_model, write_bundle

LENGTHS = [12, 12, 13, 9, 9, 9, 30, 30]
PAIRS = np.array([[0, 1], [0, 2], [3, 4], [6, 7]])
COMPLEMENT = np.array([*range(len(LETTERS) - 4), *(LETTERS.ids[b] for b in "TGCA")])


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


@pytest.fixture
def store(tmp_path):
    return write(tmp_path / "in.zarr", records(*LENGTHS), PAIRS)


def write(path, sequences, pairs):
    with TokenStoreWriter(
        path, DNA, TOKENIZER, domain="dna", source={"what": "made by a test"}, shard_tokens=64
    ) as writer:
        for sequence in sequences:
            writer.append(sequence)
        spans = np.array([(i, 0, len(s)) for i, s in enumerate(sequences)])
        return writer.finish(
            spans=spans,
            span_split=np.full(len(spans), 2, np.uint8),
            counts={"in": len(sequences), "ok": len(sequences), "rejected": {}},
            split={"rule": "given"},
            pairs=pairs,
        )


def run(bundle, store, output, **changes):
    settings = {"what": ["compare"], "rows_per_block": 2, "threads": 1, "batch_tokens": 64}
    return predict(bundle, store.path, output, **(settings | changes))


def turn(arrays):
    return {**{name: a[::-1] for name, a in arrays.items()}, "tokens": COMPLEMENT[arrays["tokens"][::-1]]}


def other_strand(bundle):
    return turn


def test_a_pair_has_the_difference_of_its_rows(tmp_path, bundle, store):
    report = run(bundle, store, tmp_path / "out.zarr")
    out = PredictionStore.open(tmp_path / "out.zarr")
    assert (report.pairs, report.rows, report.blocks) == (4, 8, 4)
    nll = out["nll"]
    assert (out["pairs"] == PAIRS).all()
    assert (out["nll_ref"] == nll[[0, 0, 3, 6]]).all()
    assert (out["nll_alt"] == nll[[1, 2, 4, 7]]).all()
    assert (out["llr"] == out["nll_ref"] - out["nll_alt"]).all()
    assert np.ptp(out["llr"]) > 0.1


def test_a_refused_row_leaves_its_pairs_without_a_score(tmp_path, bundle, store):
    options = PredictOptions(window=WindowPolicy(length=12, long="refuse"))
    report = run(bundle, store, tmp_path / "out.zarr", options=options)
    out = PredictionStore.open(tmp_path / "out.zarr")
    assert report.refused == {"too_long": 3}
    assert np.isnan(out["llr"]).tolist() == [False, True, False, True]
    assert np.isfinite(out["nll_ref"]).tolist() == [True, True, True, False]


def test_an_interrupted_comparison_ends_with_the_same_bytes(tmp_path, bundle, store, monkeypatch):
    run(bundle, store, tmp_path / "whole.zarr")
    blocks = BlockRunner.run

    def fails_later(self, index):
        if index == 2:
            raise RuntimeError("power cut")
        blocks(self, index)

    monkeypatch.setattr(BlockRunner, "run", fails_later)
    with pytest.raises(RuntimeError, match="power cut"):
        run(bundle, store, tmp_path / "out.zarr")
    part = PredictionStore.open(tmp_path / "out.zarr", incomplete=True)
    with pytest.raises(IntegrityError, match="once all blocks are there"):
        part["llr"]
    monkeypatch.undo()
    assert run(bundle, store, tmp_path / "out.zarr").blocks_kept == 2
    assert keys(tmp_path / "out.zarr") == keys(tmp_path / "whole.zarr")


def test_a_store_without_pairs_is_refused_before_anything_is_written(tmp_path, bundle):
    plain = write(tmp_path / "plain.zarr", records(5, 6), None)
    with pytest.raises(ConfigError, match="no pairs"):
        run(bundle, plain, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_tables_by_pair_and_by_row(tmp_path, bundle, store):
    run(bundle, store, tmp_path / "out.zarr")
    out = PredictionStore.open(tmp_path / "out.zarr")
    labels = {"position": np.arange(8) * 10}
    by_pair = out.to_table(tmp_path / "pairs.csv", labels=labels, of="pair").read_text().splitlines()
    assert by_pair[0] == "id,position,row_ref,row_alt,nll_ref,nll_alt,llr"
    assert by_pair[2].startswith("r2,20,0,2,")
    by_row = out.to_table(tmp_path / "rows.csv", labels=labels).read_text().splitlines()
    assert by_row[0] == "row,id,position,status,nll,n_tokens"
    assert len(by_row) == 9


@pytest.mark.parametrize("mode", ["records", "windows"])
def test_both_strands_are_the_mean_of_the_row_and_its_turned_copy(tmp_path, bundle, store, mode):
    options = PredictOptions(mode=mode, strands="both")
    what = ["token_scores", "compare"]
    run(bundle, store, tmp_path / "out.zarr", options=options, what=what, other_strand=other_strand)
    out = PredictionStore.open(tmp_path / "out.zarr")
    engine = Engine(tiny_model())
    forward = list(engine.score(store, mode=mode))
    turned = list(store)
    for sequence in turned:
        sequence.arrays = turn(sequence.arrays)
    backward = list(engine.score(turned, mode=mode))
    assert np.allclose(out["nll"], [(a.nll + b.nll) / 2 for a, b in zip(forward, backward, strict=True)], atol=1e-4)
    assert not np.allclose(out["nll"], [a.nll for a in forward], atol=1e-2)
    for row, n in enumerate(LENGTHS):
        there = backward[row].token_nll
        aligned = np.concatenate([there[:n][::-1], there[n:]])
        assert np.allclose(out.row("token_nll", row), (forward[row].token_nll + aligned) / 2, atol=1e-5)


def test_a_tokenizer_without_another_strand_is_refused(tmp_path, bundle, store):
    options = PredictOptions(strands="both")
    for makes in (None, lambda bundle: None):
        with pytest.raises(ConfigError, match="no other strand"):
            run(bundle, store, tmp_path / "out.zarr", options=options, other_strand=makes)
    with pytest.raises(ConfigError, match="strands"):
        PredictOptions(strands="reverse")
