"""The cheaper layer equals peft's forward and gradients, and leaves to peft what is not one plain branch."""

import pytest
import torch
from torch import nn

from core.batching.batch import Inputs
from core.durable import read_json
from core.finetuning.adapters import attach, save_adapter
from core.finetuning.config import AdapterConfig
from tests.core.tiny import tiny_model

peft = pytest.importorskip("peft")
from peft.tuners.lora.layer import Linear  # noqa: E402

from core.finetuning.lora_linear import LoraLinear  # noqa: E402  it needs peft


def adapted(bias=False, dtype=torch.float32, **lora):
    """A projection from 12 to 7 with a branch that changes its output."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 7, bias=bias)).requires_grad_(False)
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=["0"], **lora)
    config._register_custom_module({nn.Linear: LoraLinear})
    layer = peft.inject_adapter_in_model(config, model)[0].to(dtype)
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def run(forward, layer, x, bf16=False):
    """Output and gradients by the input and by all weights that change."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = forward(layer, x)
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    changing = [p for p in layer.parameters() if p.requires_grad]
    return [y, *torch.autograd.grad((y.float() * weights).sum(), [x, *changing])]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(12,), (1, 12), (5, 12), (2, 9, 12), (0, 12)])
@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 1e-6), (True, 2**-6)])
def test_outputs_and_gradients_are_pefts(bias, shape, bf16, tolerance):
    layer, x = adapted(bias), torch.randn(shape)
    assert layer._plain_branch() == "default"
    for ours, theirs in zip(run(LoraLinear.forward, layer, x, bf16), run(Linear.forward, layer, x, bf16), strict=True):
        assert ours.dtype == theirs.dtype
        largest = float(theirs.detach().abs().max()) if theirs.numel() else 1.0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * largest)


def test_gradients_are_those_of_finite_differences():
    layer = adapted(bias=True, dtype=torch.float64)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, down, up: layer(x), (x, down, up))


def test_inputs_need_not_be_one_block_nor_have_a_gradient():
    layer, wide = adapted(), torch.randn(2, 5, 30)
    part = wide[:, :, 3:15]
    assert torch.equal(layer(part), layer(part.contiguous()))
    layer(part).sum().backward()
    changing = {name for name, p in layer.named_parameters() if p.grad is not None}
    assert changing == {"lora_A.default.weight", "lora_B.default.weight"}


def test_it_merges_unmerges_and_is_switched_off():
    layer, x = adapted(), torch.randn(5, 12)
    base, changed = layer.get_base_layer()(x), layer(x)
    layer.merge()
    torch.testing.assert_close(layer(x), changed)
    layer.unmerge()
    torch.testing.assert_close(layer(x), changed)
    layer.enable_adapters(False)
    torch.testing.assert_close(layer(x), base)


@pytest.mark.parametrize("how", ["dropout", "dora", "bias", "second", "trained", "hook", "float64"])
def test_all_else_is_pefts_own(how):
    lora = {"dropout": {"lora_dropout": 0.5}, "dora": {"use_dora": True}, "bias": {"lora_bias": True}}
    layer, x = adapted(bias=True, **lora.get(how, {})), torch.randn(5, 12)
    seen = []
    if how == "second":
        layer.update_layer("other", r=2, lora_alpha=2, config=peft.LoraConfig(r=2))
        layer.set_adapter(["default", "other"])
    elif how == "trained":
        layer.get_base_layer().requires_grad_(True)
    elif how == "hook":
        layer.lora_A["default"].register_forward_hook(lambda *_: seen.append(True))
    elif how == "float64":
        layer.lora_A["default"].double()
        assert layer._dtype(x, "default") is None
        return
    assert layer._plain_branch() is None
    torch.manual_seed(1)
    ours = run(LoraLinear.forward, layer, x)
    assert bool(seen) == (how == "hook")
    torch.manual_seed(1)
    for mine, theirs in zip(ours, run(Linear.forward, layer, x), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("pattern", ["A", "M", "S"])
def test_a_model_with_it_is_as_with_pefts_layer(pattern, monkeypatch):
    tokens = Inputs({"tokens": torch.randint(5, 9, (2, 12), generator=torch.Generator().manual_seed(0))})
    model = tiny_model(pattern=pattern)
    attach(model, AdapterConfig("lora"))
    layers = [layer for layer in model.modules() if isinstance(layer, Linear)]
    assert layers
    assert all(isinstance(layer, LoraLinear) for layer in layers)
    for layer in layers:
        nn.init.normal_(layer.lora_B["default"].weight)
    changing = [p for p in model.parameters() if p.requires_grad]

    def gradients():
        return torch.autograd.grad(model(tokens)[0].square().sum(), changing)

    ours = gradients()
    monkeypatch.setattr(LoraLinear, "forward", Linear.forward)
    for mine, theirs in zip(ours, gradients(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))


def test_the_files_say_nothing_of_it(tmp_path):
    model, config = tiny_model(), AdapterConfig("lora")
    attach(model, config)
    save_adapter(tmp_path, model, config, "base")
    plain = peft.LoraConfig().to_dict()
    assert read_json(tmp_path / "adapter_config.json").keys() == plain.keys()
