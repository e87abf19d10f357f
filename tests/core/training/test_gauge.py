"""A likelihood is shown in bits per natural unit; a squared error or a pinball loss is never called bits."""

from __future__ import annotations

import math

import pytest

from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Symbols, TokenSpec, Vectors
from core.training.gauge import Gauge
from core.vocabulary import Vocabulary

TINY = ModelConfig(width=32, layers=1)


@pytest.mark.parametrize(
    ("spec", "readout", "words"),
    [
        (Symbols(Vocabulary(("A",))), None, "bits per step"),
        (Vectors(2), "student_t", "bits per step"),
        (Vectors(2), "gaussian", "bits per step"),
        (Vectors(2), "mse", "loss per step"),
        (Vectors(2), "quantile", "loss per step"),
    ],
)
def test_only_likelihoods_are_bits(spec: TokenSpec, readout: str | None, words: str) -> None:
    gauge = Gauge.of(SequenceModel(spec, TINY, {"values": readout} if readout else None), "step", 4.0)
    assert gauge.words == words
    assert gauge.column == f"val_{words.replace(' ', '_')}"
    assert gauge(8.0) == pytest.approx(2 / math.log(2) if gauge.nats else 2)
    assert math.isnan(gauge(None))
