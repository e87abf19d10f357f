"""Actions in chunks: the contract, the bound of rounding, pieces that spell every level, broken chunks refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import box
from domains.robots.tokenizer import ChunksTokenizer
from tests.domains.robots.conftest import episode
from tests.domains.robots.test_tokenizer_continuous import mixed
from tests.tokenizer_kit import TokenizerContract


def smooth(name: str = "s", steps: int = 20, seed: int = 0, **more: Any) -> Episode:
    one = episode(name, steps, seed=seed, space=box(2, low=-1, high=1), **more)
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    return replace(one, actions=0.9 * np.sin(0.3 * np.arange(steps)[:, None] + phase))


TRAINING = [smooth(f"t{i}", 30, i) for i in range(8)]


@st.composite
def records(draw: Any) -> Episode:
    return smooth("r", draw(st.integers(1, 40)), draw(st.integers(0, 99)), final=draw(st.booleans()))


class TestChunks(TokenizerContract):
    training = TRAINING
    unfitted = ChunksTokenizer.from_config({"horizon": 8, "pieces": 20})
    tokenizer = ChunksTokenizer.from_config({"horizon": 8, "pieces": 20}).fit(TRAINING)
    records = records()
    refused = [
        (replace(smooth("wide"), observations=np.zeros((21, 5))), "wrong_width"),
        (replace(smooth("mocap"), actions=np.full((20, 2), np.nan)), "no_actions"),
    ]

    def size(self, record: Episode) -> float:
        return len(record)


def test_actions_come_back_within_the_bound_and_observations_one_a_chunk() -> None:
    tokenizer = TestChunks.tokenizer
    for one in TRAINING:
        back = tokenizer.decode(tokenizer.encode(one))
        for start in range(0, 30, 8):
            error = (back.actions - one.actions)[start : start + 8]
            assert (np.sqrt((error**2).mean(0)) <= tokenizer.error_bound).all()
        assert np.allclose(back.observations[::8], one.observations[:-1:8], atol=1e-5)
        assert np.isnan(back.observations[1:8, :3]).all()
        assert back.total == pytest.approx(one.total, rel=1e-4)


def test_pieces_shorten_what_levels_alone_would_take() -> None:
    plain = ChunksTokenizer.from_config({"horizon": 8, "pieces": 0}).fit(TRAINING)
    assert len(plain.encode(TRAINING[0])) == 4 + 1 + 60
    assert len(TestChunks.tokenizer.encode(TRAINING[0])) < len(plain.encode(TRAINING[0]))


def test_a_chunk_with_lost_levels_is_refused() -> None:
    tokenizer = TestChunks.tokenizer
    sequence = tokenizer.encode(TRAINING[0])
    least = tokenizer.config.levels[0]
    single = next(i for i in range(1, len(sequence)) if len(tokenizer.piece_list[sequence.arrays["tokens"][i] - 6]) % 2)
    kept = np.arange(len(sequence)) != single
    cut = replace(
        sequence,
        arrays={name: array[kept] for name, array in sequence.arrays.items()},
        observed={name: array[kept] for name, array in sequence.observed.items()},
        token_labels={},
    )
    assert least < 0
    with pytest.raises(RecordError, match="levels, expected 16"):
        tokenizer.decode(cut)


def test_choices_are_not_for_chunks() -> None:
    with pytest.raises(ConfigError, match="an action has choices"):
        ChunksTokenizer().fit([mixed()])
