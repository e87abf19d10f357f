import numpy as np
import pytest
import torch

from core.engine import Engine
from core.finetuning.fit import vectors
from core.finetuning.records import Records, by_token, epoch, pooled
from core.window_policy import WindowPolicy
from tests.core.finetuning.labelled import dna, labelled
from tests.core.tiny import MIXED, records, tiny_model, write_store


@pytest.mark.parametrize("pattern", ["A", "M", "S"])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_what_a_gradient_flows_through_is_what_prediction_reads(tmp_path, pattern, pooling):
    model = tiny_model(pattern=pattern, context=16)
    store = labelled(tmp_path / "s.zarr", dna(9, length=(1, 60)), {"x": [0.0] * 9})  # longer than the context, too
    found = Records(store, np.arange(9), model.spec, WindowPolicy().resolve(model.config), pooling)
    expected = vectors(Engine(model, device="cpu"), found, np.arange(9))
    got = np.zeros_like(expected)
    for part in found.parts(np.arange(9), torch.device("cpu")):
        got[part.records] = pooled(model, part).detach().numpy()
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_tokens_one_by_one(tmp_path):
    model = tiny_model(context=16)
    store = labelled(tmp_path / "s.zarr", dna(6, length=(1, 50)), {"x": [0.0] * 6})
    found = Records(store, np.arange(6), model.spec, WindowPolicy().resolve(model.config), "token")
    expected = vectors(Engine(model, device="cpu"), found, np.arange(6))
    starts = np.cumsum([0, *(s.tokens for s in found.stretches)])
    for part in found.parts(np.arange(6), torch.device("cpu")):
        got = by_token(model, part, [found.stretches[i].tokens for i in part.records]).detach().numpy()
        wanted = np.concatenate([expected[starts[i] : starts[i + 1]] for i in part.records])
        np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_real_values_too(tmp_path):
    model = tiny_model(spec=MIXED, context=16)
    store = write_store(tmp_path / "s.zarr", records(3, 12, 40, spec=MIXED), spec=MIXED)
    found = Records(store, np.arange(3), model.spec, WindowPolicy().resolve(model.config), "mean")
    expected = vectors(Engine(model, device="cpu"), found, np.arange(3))
    for part in found.parts(np.arange(3), torch.device("cpu")):
        np.testing.assert_allclose(pooled(model, part).detach().numpy(), expected[part.records], atol=2e-5)


def test_an_epoch_has_every_record_once_in_an_order_of_its_counters():
    lengths = np.array([len(row) for row in dna(50)])
    first = list(epoch(lengths, np.arange(50), 8, 0, 1))
    assert sorted(np.concatenate(first).tolist()) == list(range(50))
    again, other = (np.concatenate(list(epoch(lengths, np.arange(50), 8, 0, e))) for e in (1, 2))
    assert np.concatenate(first).tolist() == again.tolist() != other.tolist()
