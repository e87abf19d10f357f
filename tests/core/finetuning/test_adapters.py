"""peft's layers around our projections, in every mixer: each one changes the output, learns, merges, is saved."""

import pytest
import torch

from core.batching.batch import Inputs
from core.errors import ConfigError, IntegrityError
from core.finetuning.adapters import PROJECTIONS, attach, is_adapted, load_adapter, merged, save_adapter, trained
from core.finetuning.config import AdapterConfig
from core.nn.config import size_config
from core.nn.model import SequenceModel
from tests.core.tiny import DNA, tiny_model

peft = pytest.importorskip("peft")
X = Inputs({"tokens": torch.randint(5, 9, (2, 12), generator=torch.Generator().manual_seed(0))})
OF = {"A": ("in_proj", "out_proj", "fc1", "fc2"), "M": ("in_proj", "x_proj", "dt_proj", "out_proj")}
OF["S"] = ("in_proj", "out_proj")


def moved(model, seed=0):
    """The model with every trained weight changed, as training would."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


@pytest.mark.parametrize("pattern", ["A", "M", "S"])
@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_it_begins_as_the_model_and_gradients_flow(pattern, kind):
    model = tiny_model(pattern=pattern)
    before = model(X)[0].detach()
    attach(model, AdapterConfig(kind))
    hidden = model(X)[0]
    torch.testing.assert_close(hidden, before, atol=1e-5, rtol=1e-4)
    moved(model)(X)[0].square().sum().backward()
    changing = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert changing
    assert all("lora" in name or "ia3" in name for name in changing)
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in changing.values())


@pytest.mark.parametrize(("pattern", "target"), [(p, name) for p, names in OF.items() for name in names])
@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_each_projection_alone_changes_the_output_and_merges(pattern, target, kind):
    model = tiny_model(pattern=pattern)
    before = model(X)[0].detach()
    attach(model, AdapterConfig(kind, targets=(target,)))
    changed = moved(model)(X)[0].detach()
    assert float((changed - before).abs().max()) > 1e-3
    plain = merged(model)
    assert not is_adapted(plain)
    assert is_adapted(model)
    torch.testing.assert_close(plain(X)[0], changed, atol=1e-4, rtol=1e-4)
    state = model.init_state(2, 16)
    steps = [model.step({"tokens": X.fields["tokens"][:, i]}, state)[0] for i in range(12)]
    torch.testing.assert_close(torch.stack(steps, 1), changed, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_the_files_are_pefts_and_ours(tmp_path, kind):
    model, config = tiny_model(pattern="AM"), AdapterConfig(kind)
    attach(model, config)
    changed = moved(model)(X)[0].detach()
    save_adapter(tmp_path / "adapter", model, config, "base")
    torch.testing.assert_close(load_adapter(tmp_path / "adapter", tiny_model(pattern="AM"), "base")(X)[0], changed)
    theirs = peft.PeftModel.from_pretrained(tiny_model(pattern="AM"), tmp_path / "adapter")
    torch.testing.assert_close(theirs.base_model.model(X)[0], changed, atol=1e-5, rtol=1e-4)


def test_an_adapter_of_another_base_is_refused(tmp_path):
    model, config = tiny_model(), AdapterConfig("lora")
    attach(model, config)
    save_adapter(tmp_path, model, config, "a" * 64)
    with pytest.raises(IntegrityError, match="is an adapter for the bundle aaaaaaaaaaaa, this one is bbbbbbbbbbbb"):
        load_adapter(tmp_path, tiny_model(), "b" * 64)
    with pytest.raises(IntegrityError, match="does not hold the weights"):
        load_adapter(tmp_path, tiny_model(pattern="AM"), "a" * 64)
    with pytest.raises(ConfigError, match="no adapter of foretell"):
        load_adapter(tmp_path / "nothing", tiny_model(), "a" * 64)


@pytest.mark.parametrize("pattern", ["transformer", "mamba", "mamba2"])
@pytest.mark.parametrize("kind", ["lora", "dora", "ia3"])
def test_two_per_cent_of_an_m_model(pattern, kind):
    model = SequenceModel(DNA, size_config("m", pattern))
    whole = model.n_parameters
    attach(model, AdapterConfig(kind))
    assert 0 < trained(model) <= 0.02 * whole


def test_head_alone_and_unknown_projections():
    model = tiny_model()
    attach(model, AdapterConfig("head"))
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"readouts.tokens.proj.weight"}
    with pytest.raises(ConfigError, match="no projection 'x_proj'"):
        attach(tiny_model(), AdapterConfig("lora", targets=("x_proj",)))
    with pytest.raises(ConfigError, match="did you mean 'lora'"):
        AdapterConfig("lorra")
    assert set(PROJECTIONS) == {name for names in OF.values() for name in names}
