import importlib.util

import pytest

from core.errors import ConfigError
from core.training.loggers import LOGGERS
from tests.core.training.tiny import train


def test_tensorboard_gets_the_curves_beside_metrics_csv(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path / "run", steps=6, val_every=3, log_every=2, logger="tensorboard")
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4, 6]
    assert [event.step for event in events.Scalars("val_nll")] == [3, 6]
    assert (tmp_path / "run/metrics.csv").exists()


@pytest.mark.parametrize("word", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, word):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"needs the package '{word}'") as error:
        LOGGERS.get(word)(tmp_path)
    assert f"pip install {word}" in error.value.hint


def test_csv_needs_nothing(tmp_path):
    assert LOGGERS.get("csv")(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_logger_gets_the_nearest_name(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        train(tmp_path / "run", logger="tensorbord")
