import pytest
import torch

from core.errors import ConfigError
from core.objectives.next_token import NextToken
from core.training.config import TrainingConfig
from core.training.network import Network
from core.training.optimizers import OPTIMIZERS
from tests.core.training.tiny import make_model


def groups(optimizer, network, **wanted):
    """Names of the parameters in groups that have all the wanted options."""
    names = {p: name for name, p in network.named_parameters()}
    return {
        names[p]
        for group in optimizer.param_groups
        if all(group[key] == value for key, value in wanted.items())
        for p in group["params"]
    }


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("pattern", ["A", "M", "S"])
def test_matrices_decay_and_what_refuses_it_does_not(kind, pattern):
    model = make_model(pattern)
    network = Network(model, NextToken(model.spec))
    optimizer = OPTIMIZERS.get(kind)(network, TrainingConfig(steps=1, weight_decay=0.1))
    decayed, spared = groups(optimizer, network, weight_decay=0.1), groups(optimizer, network, weight_decay=0.0)
    parameters = dict(network.named_parameters())
    assert decayed | spared == set(parameters)
    assert not decayed & spared
    refusing = {name for name, p in parameters.items() if getattr(p, "_no_weight_decay", False)}
    assert refusing or pattern == "A"
    assert refusing <= spared
    assert {name for name, p in parameters.items() if p.ndim < 2} <= spared
    assert {name for name in parameters if "embed" in name and parameters[name].ndim == 2} <= spared
    assert "model.readouts.tokens.proj.weight" in decayed


def test_embeddings_decay_when_asked():
    model = make_model()
    network = Network(model, NextToken(model.spec))
    optimizer = OPTIMIZERS.get("adamw")(network, TrainingConfig(steps=1, decay_embeddings=True))
    assert any("embed" in name for name in groups(optimizer, network, weight_decay=0.1))


@pytest.mark.parametrize("pattern", ["A", "M", "S"])
def test_muon_gets_the_matrices_between_hidden_states_and_nothing_else(pattern):
    model = make_model(pattern)
    network = Network(model, NextToken(model.spec))
    optimizer = OPTIMIZERS.get("muon")(network, TrainingConfig(steps=1))
    hidden = groups(optimizer, network, muon=True)
    assert hidden
    assert all((name.startswith("model.backbone.layers.") and "proj" in name) or "mlp" in name for name in hidden)
    assert not any("A_log" in name or "conv" in name for name in hidden)


def test_a_frozen_parameter_is_not_trained():
    model = make_model()
    model.readouts["tokens"].proj.weight.requires_grad_(False)
    network = Network(model, NextToken(model.spec))
    optimizer = OPTIMIZERS.get("adamw")(network, TrainingConfig(steps=1))
    assert "model.readouts.tokens.proj.weight" not in groups(optimizer, network)


def test_an_unknown_optimizer_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'adamw'"):
        OPTIMIZERS.get("adam")


def test_adamw_steps_as_torch_does_without_fusion():
    torch.manual_seed(0)
    module = torch.nn.Linear(6, 4)
    plain = torch.nn.Linear(6, 4)
    plain.load_state_dict(module.state_dict())
    config = TrainingConfig(steps=1, lr=0.01, weight_decay=0.2)
    ours = OPTIMIZERS.get("adamw")(module, config)
    theirs = torch.optim.AdamW(
        [{"params": [plain.weight], "weight_decay": 0.2}, {"params": [plain.bias], "weight_decay": 0.0}],
        lr=0.01,
        betas=config.betas,
        foreach=False,
    )
    for seed in range(3):
        for p, q in zip(module.parameters(), plain.parameters(), strict=True):
            p.grad = q.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed))
        ours.step()
        theirs.step()
    torch.testing.assert_close(module.weight, plain.weight)
    torch.testing.assert_close(module.bias, plain.bias)
