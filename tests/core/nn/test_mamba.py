"""Parameters named, shaped and started as in mamba-ssm, so that state dicts pass between the two."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.nn.config import ModelConfig
from core.nn.mamba1 import Mamba1
from core.nn.mamba2 import Mamba2
from core.nn.model import SequenceModel
from tests.core.nn.conftest import SYMBOLS

WIDTH, INNER = 64, 128
MAMBA1 = {
    "A_log": (INNER, 16),
    "D": (INNER,),
    "in_proj.weight": (2 * INNER, WIDTH),
    "conv1d.weight": (INNER, 1, 4),
    "conv1d.bias": (INNER,),
    "x_proj.weight": (4 + 2 * 16, INNER),  # dt_rank = ceil(64 / 16)
    "dt_proj.weight": (INNER, 4),
    "dt_proj.bias": (INNER,),
    "out_proj.weight": (WIDTH, INNER),
}
MAMBA2 = {
    "dt_bias": (4,),  # 4 heads of 32
    "A_log": (4,),
    "D": (4,),
    "in_proj.weight": (2 * INNER + 2 * 2 * 24 + 4, WIDTH),  # z, x, B and C of 2 groups of 24, dt
    "conv1d.weight": (INNER + 2 * 2 * 24, 1, 4),
    "conv1d.bias": (INNER + 2 * 2 * 24,),
    "norm.weight": (INNER,),
    "out_proj.weight": (WIDTH, INNER),
}
CONFIGS = {
    "M": ModelConfig(pattern="M", width=WIDTH),
    "S": ModelConfig(pattern="S", width=WIDTH, headdim=32, d_state=24, ngroups=2),
}


@pytest.mark.parametrize(("mixer", "shapes"), [(Mamba1(CONFIGS["M"]), MAMBA1), (Mamba2(CONFIGS["S"]), MAMBA2)])
def test_a_state_dict_with_mamba_ssms_names_and_shapes_loads_strictly(mixer, shapes) -> None:
    theirs = {name: torch.randn(shape) for name, shape in shapes.items()}
    mixer.load_state_dict(theirs, strict=True)
    assert {name: tuple(value.shape) for name, value in mixer.state_dict().items()} == shapes


def test_the_backbone_has_mamba_ssms_names() -> None:
    model = SequenceModel(SYMBOLS, ModelConfig(pattern="SA", layers=2, width=WIDTH))
    names = {name.removeprefix("backbone.") for name in model.state_dict() if name.startswith("backbone.")}
    assert {"layers.0.norm.weight", "layers.0.mixer.A_log", "layers.1.mixer.in_proj.weight"} <= names
    assert {"layers.1.norm2.weight", "layers.1.mlp.fc1.weight", "layers.1.mlp.fc2.weight", "norm_f.weight"} <= names
    assert not any(name.startswith(("layers.0.norm2", "layers.0.mlp")) for name in names)


@pytest.mark.parametrize("letter", ["M", "S"])
def test_step_sizes_start_between_a_thousandth_and_a_tenth(letter: str) -> None:
    torch.manual_seed(0)
    mixer = (
        Mamba1(ModelConfig(pattern="M", width=512)) if letter == "M" else Mamba2(ModelConfig(pattern="S", width=2048))
    )
    steps = F.softplus(mixer.dt_proj.bias if isinstance(mixer, Mamba1) else mixer.dt_bias)
    assert 1e-3 * 0.99 <= steps.min() < 3e-3
    assert 0.03 < steps.max() <= 0.1 * 1.01
    assert steps.log().mean().exp().item() == pytest.approx(0.01, rel=0.3)  # log-uniform


def test_decays_start_as_published() -> None:
    one, two = Mamba1(CONFIGS["M"]), Mamba2(ModelConfig(pattern="S", width=2048))
    torch.testing.assert_close(one.A_log.exp(), torch.arange(1.0, 17).expand(INNER, 16))
    assert 1 <= two.A_log.exp().min() < 3
    assert 14 < two.A_log.exp().max() <= 16


@pytest.mark.parametrize("pattern", ["M", "S"])
def test_what_sets_the_time_scales_has_no_weight_decay(pattern: str) -> None:
    model = SequenceModel(SYMBOLS, ModelConfig(pattern=pattern, layers=1, width=WIDTH))
    free = {
        name.rpartition("mixer.")[2] for name, p in model.named_parameters() if getattr(p, "_no_weight_decay", False)
    }
    assert free == {"M": {"A_log", "D", "dt_proj.bias"}, "S": {"A_log", "D", "dt_bias"}}[pattern]


def test_branches_start_smaller_the_more_of_them_there_are() -> None:
    torch.manual_seed(0)
    shallow, deep = (
        SequenceModel(SYMBOLS, ModelConfig(pattern="S", layers=layers, width=WIDTH))
        .backbone.blocks[0]
        .mixer.out_proj.weight
        for layers in (1, 16)
    )
    assert (shallow.std() / deep.std()).item() == pytest.approx(4, rel=0.05)
