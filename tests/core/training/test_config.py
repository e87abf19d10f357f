import subprocess
import sys

import pytest

from core.errors import ConfigError
from core.training.config import TrainingConfig


def test_a_recipe_comes_back_from_plain_values():
    config = TrainingConfig(minutes=20, optimizer="muon", betas=(0.8, 0.9), ema=0.998)
    assert TrainingConfig.from_config(config.to_config()) == config
    assert config.budget == ("minutes", 20)


@pytest.mark.parametrize("budget", [{}, {"steps": 10, "minutes": 1}, {"tokens": -5}, {"minutes": float("nan")}])
def test_exactly_one_budget(budget):
    with pytest.raises(ConfigError, match=r"training"):
        TrainingConfig(**budget)


@pytest.mark.parametrize(
    "key,value",
    [
        ("lr", 0),
        ("betas", (0.9, 1.0)),
        ("weight_decay", -1),
        ("schedule", "cosin"),
        ("warmup_steps", -1),
        ("clip", -1),
        ("accumulate", 0),
        ("ema", 1.0),
        ("keep", 1),
        ("precision", "fp16"),
        ("strategy", "dp"),
        ("decay_share", 2),
    ],
)
def test_a_bad_value_is_named(key, value):
    with pytest.raises(ConfigError, match=rf"training\.{key}: got"):
        TrainingConfig(**{"steps": 1, key: value})


def test_checking_a_recipe_needs_no_torch():
    code = "import sys, core.training.config; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_key_and_a_misspelt_word_get_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'warmup_steps'"):
        TrainingConfig.from_config({"steps": 1, "warmup": 3})
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        TrainingConfig(steps=1, schedule="cosin")
