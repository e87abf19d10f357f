"""Slots: what is put in comes out, also where another draw was before; random numbers belong to the draw."""

import numpy as np
import pytest
import torch

from core.decoding.slots import FINISHED, FULL, LIVE, Draw, Slots, uniforms
from core.errors import ConfigError
from core.vocabulary import EOS
from tests.core.tiny import DNA, MIXED, records

CPU = torch.device("cpu")


def test_a_slot_serves_one_draw_after_the_other():
    slots = Slots(DNA, 2, 6, CPU)
    assert len(slots.live) == 0
    first, second = records(3, 1)
    slots.take(1, Draw(first, ("a",)))
    assert slots.live.tolist() == [1]
    slots.values["tokens"][1, 3:5] = torch.tensor([7, EOS])
    slots.nats["tokens"][1, 3:5] = torch.tensor([0.5, 0.25])
    slots.masked[1, 3:5] = torch.tensor([0.0, 0.1])
    slots.position[1], slots.ended[1] = 5, FINISHED
    sample = slots.sample(1)
    assert sample.sequence.arrays["tokens"].tolist() == [*first.arrays["tokens"].tolist(), 7]
    assert (sample.n_tokens, sample.finished) == (2, True)
    assert (sample.nll, sample.masked_mass) == pytest.approx((0.75, 0.05))
    slots.take(1, Draw(second, ("b",)))
    slots.position[1], slots.ended[1] = 6, FULL
    assert sample.sequence.arrays["tokens"].tolist() == [*first.arrays["tokens"].tolist(), 7]
    other = slots.sample(1)
    assert (other.n_tokens, other.finished, other.sequence.id) == (5, False, "r1")


def test_a_prefix_that_is_as_long_as_allowed_has_ended():
    slots = Slots(DNA, 1, 4, CPU)
    slots.take(0, Draw(records(4)[0], ("a",)))
    assert slots.ended[0] == FULL
    assert slots.sample(0).n_tokens == 0


def test_what_is_given_ahead_is_there_and_must_be_long_enough():
    (ahead,) = records(6, spec=MIXED)
    slots = Slots(MIXED, 1, 6, CPU)
    slots.take(0, Draw(ahead.slice(0, 2), ("a",), ahead))
    assert slots.ended[0] == LIVE
    assert np.array_equal(slots.values["goal"][0].numpy(), ahead.arrays["goal"])
    assert np.array_equal(slots.values["values"][0, :2].numpy(), ahead.arrays["values"][:2])
    with pytest.raises(ConfigError, match="goal"):
        slots.take(0, Draw(ahead.slice(0, 2), ("a",)))
    with pytest.raises(ConfigError, match="has 5 positions"):
        slots.take(0, Draw(ahead.slice(0, 2), ("a",), ahead.slice(0, 5)))


def test_uniforms_are_a_function_of_their_counters_and_a_prefix_of_longer_ones():
    assert np.array_equal(uniforms(5, 1, 2, "a"), uniforms(9, 1, 2, "a")[:5])
    assert not np.array_equal(uniforms(5, 1, 2, "a"), uniforms(5, 1, 3, "a"))
    assert (uniforms(1000, 0) < 1).all()
