"""One way from plain values to a configuration's dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from core.config_keys import from_keys
from core.errors import ConfigError
from core.nn.config import ModelConfig
from core.training.config import TrainingConfig


@dataclass(frozen=True)
class Kettle:
    litres: float = 1.5
    whistle: bool = False
    boiling_point: float = field(default=100.0, init=False)


def test_known_keys_become_fields_and_the_rest_keep_their_defaults() -> None:
    assert from_keys(Kettle, {"litres": 2.0}, "kettle") == Kettle(2.0, False)


def test_an_unknown_key_is_refused_with_the_nearest_and_all_known_ones() -> None:
    with pytest.raises(ConfigError, match="kettle: unknown key 'litre'; did you mean 'litres'") as error:
        from_keys(Kettle, {"litre": 2.0}, "kettle")
    assert error.value.hint == "Known: litres, whistle."
    with pytest.raises(ConfigError, match="unknown key 'boiling_point'"):
        from_keys(Kettle, {"boiling_point": 90.0}, "kettle")


def test_models_and_trainings_are_read_so() -> None:
    with pytest.raises(ConfigError, match="model: unknown key 'widht'; did you mean 'width'"):
        ModelConfig.from_config({"widht": 32})
    with pytest.raises(ConfigError, match="training: unknown key 'step'; did you mean 'steps'"):
        TrainingConfig.from_config({"step": 5})
    for config in (ModelConfig(layers=2, ngrams=(1, 2)), TrainingConfig(steps=5, betas=(0.8, 0.9))):
        assert type(config).from_config(config.to_config()) == config
