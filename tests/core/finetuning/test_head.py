import numpy as np
import pytest
import torch

from core.errors import ConfigError, IntegrityError
from core.finetuning.head import Head, HeadConfig, load_head, save_head


def head(task="regress", names=("x",), exclusive=False, width=4):
    torch.manual_seed(0)
    made = Head(HeadConfig(task, ("x",), names, exclusive, width, "mean"))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
        made.shift.normal_()
        made.scale.uniform_(0.5, 2)
    return made


def test_it_says_after_loading_what_it_said_before(tmp_path):
    made = head()
    save_head(tmp_path, made)
    x = np.random.default_rng(0).normal(size=(5, 4))
    before, after = made.predict(x), load_head(tmp_path, 4).predict(x)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert (before["low"] < before["mean"]).all()


def test_numbers_are_those_of_the_loss():
    made = head()
    x, y = torch.randn(6, 4), torch.randn(6, 1)
    said = made.predict(x.numpy())
    nats = np.mean(np.log(said["deviation"]) + 0.5 * ((y.numpy() - said["mean"]) / said["deviation"]) ** 2)
    assert float(made.loss(x, y).detach()) == pytest.approx(nats, abs=1e-5)


def test_what_is_not_known_costs_nothing():
    made = head("classify", ("a", "b", "c"))
    x, y = torch.randn(6, 4), torch.randint(0, 2, (6, 3)).float()
    y[2, 1] = float("nan")
    loss = made.loss(x, y)
    chances = made.predict(x.numpy())["probability"]
    known = torch.isfinite(y).numpy()
    nats = -np.where(y.numpy() == 1, np.log(chances), np.log1p(-chances))[known].mean()
    assert float(loss.detach()) == pytest.approx(nats, abs=1e-5)
    loss.backward()
    assert torch.isfinite(made.linear.weight.grad).all()


def test_classes_sum_to_one_and_weights_count():
    made = head("classify", ("a", "b", "c"), exclusive=True)
    x, y = torch.randn(6, 4), torch.eye(3)[[0, 1, 2, 0, 1, 0]]
    np.testing.assert_allclose(made.predict(x.numpy())["probability"].sum(1), 1)
    plain, weighted = made.loss(x, y), made.loss(x, y, torch.tensor([0.0, 1.0, 1.0]))
    only = made.loss(x[[1, 2, 4]], y[[1, 2, 4]])
    assert float(weighted.detach()) == pytest.approx(float(only.detach()), abs=1e-5)
    assert float(plain.detach()) != pytest.approx(float(weighted.detach()), abs=1e-3)


def test_deviations_are_stretched_to_the_residuals_of_validation():
    made = head()
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 4))
    said = made.predict(x)
    truth = said["mean"] + 3 * said["deviation"] * rng.normal(size=(400, 1))
    made.fit_stretch(x, truth)
    after = made.predict(x)
    assert float(made.stretch) == pytest.approx(3, rel=0.1)
    assert np.mean((after["low"] <= truth) & (truth <= after["high"])) == pytest.approx(0.9, abs=0.05)


def test_damage_and_strangers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no head"):
        load_head(tmp_path, 4)
    save_head(tmp_path, head())
    with pytest.raises(IntegrityError, match="reads 4 numbers, the model gives 8"):
        load_head(tmp_path, 8)
    (tmp_path / "head.safetensors").write_bytes(b"no tensors")
    with pytest.raises(IntegrityError, match="damaged"):
        load_head(tmp_path, 4)
