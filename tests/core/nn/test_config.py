"""The four sizes mean the same number of parameters for every pattern; a wrong value is refused by its name."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from core.errors import ConfigError
from core.nn.config import PATTERNS, SIZES, ModelConfig, size_config
from core.nn.model import SequenceModel
from tests.core.nn.conftest import SYMBOLS

MILLIONS = {"xs": 0.3, "s": 2, "m": 10, "l": 100}


def test_a_config_derives_what_is_not_said() -> None:
    config = ModelConfig(pattern="hybrid", layers=6, width=192)
    assert config.mixers == "SSSASS"
    assert (config.query_heads, config.key_heads, config.hidden) == (3, 3, 512)
    assert (config.inner, config.ssd_headdim, config.state_size("S"), config.state_size("M")) == (384, 64, 64, 16)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sizes_have_about_the_parameters_they_promise(size: str, pattern: str) -> None:
    with torch.device("meta"):
        model = SequenceModel(SYMBOLS, size_config(size, pattern))
    assert model.n_parameters == pytest.approx(MILLIONS[size] * 1e6, rel=0.35)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pattern": "AX"},
        {"pattern": ""},
        {"layers": 0},
        {"width": 192.0},
        {"layers": True},
        {"width": 30, "heads": 4},
        {"width": 12, "heads": 4},
        {"kv_heads": 2},
        {"pattern": "S", "headdim": 48, "width": 64},
        {"pattern": "S", "ngroups": 4},
        {"dropout": 1.0},
        {"window": -1},
        {"ngrams": (2, 2)},
        {"ngrams": (0,)},
        {"norm_eps": 0.0},
        {"rope_base": 1.0},
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: dict[str, object]) -> None:
    key = [*wrong][min(1, len(wrong) - 1)]
    with pytest.raises(ConfigError, match=rf"model\.{key}.*allowed"):
        ModelConfig(**wrong)  # type: ignore[arg-type]


def test_it_survives_json_and_refuses_unknown_keys() -> None:
    config = ModelConfig(pattern="mamba2", ngrams=(2, 4))
    assert ModelConfig.from_config(json.loads(json.dumps(config.to_config()))) == config
    with pytest.raises(ConfigError, match="unknown key 'widht'; did you mean 'width'"):
        ModelConfig.from_config({"widht": 3})
    with pytest.raises(ConfigError, match="xs, s, m, l"):
        size_config("xl")


def test_a_config_is_checked_without_importing_torch() -> None:
    code = "import sys, core.nn.config as c; c.size_config('l', 'hybrid'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
