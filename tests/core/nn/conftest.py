"""Small models of every pattern in float64, with weights large enough that every part of them matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from core.batching.batch import Inputs, Row, collate, make_row
from core.nn.config import ModelConfig
from core.nn.model import SequenceModel
from core.sequence import Role, Sequence, Symbols, TokenSpec, real, symbol
from core.vocabulary import Vocabulary

LETTERS = Vocabulary(tuple("ACGT"))
SYMBOLS = Symbols(LETTERS)
MIXED = TokenSpec(
    (
        real("position", 2),
        symbol("action", Vocabulary(("left", "right", "stay"))),
        symbol("task", Vocabulary(("a", "b")), Role.GIVEN),
        real("calendar", 3, Role.KNOWN_AHEAD),
    )
)
CONFIGS = {
    "attention": {"pattern": "A"},
    "window": {"pattern": "A", "window": 3},
    "grouped_queries": {"pattern": "A", "kv_heads": 1, "qk_norm": False},
    "mamba": {"pattern": "M"},
    "mamba2": {"pattern": "S"},
    "mamba2_groups": {"pattern": "S", "ngroups": 2, "chunk": 4},
    "mixed": {"pattern": "SMA", "layers": 3, "window": 4},
    "no_norm": {"pattern": "AS", "norm": "none"},
    "ngrams": {"pattern": "S", "ngrams": (1, 3), "ngram_rows": 40},
}


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Tensors here are so small that a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    shape = {"layers": 2, "width": 16, "heads": 2, "headdim": 8, "d_state": 4, "mlp_hidden": 24}
    return ModelConfig(**{**shape, **CONFIGS[request.param]})


def make_model(config: ModelConfig, spec: TokenSpec = SYMBOLS) -> SequenceModel:
    torch.manual_seed(0)
    model = SequenceModel(spec, config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


@pytest.fixture
def model(config: ModelConfig) -> SequenceModel:
    return make_model(config)


def letters(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, len(LETTERS), shape, generator=generator)


def inputs_of(ids: Tensor, lengths: list[int] | None = None, segments: Tensor | None = None) -> Inputs:
    return Inputs({"tokens": ids}, lengths=None if lengths is None else torch.tensor(lengths), segments=segments)


def mixed_row(tokens: int, seed: int = 0) -> Row:
    """A random record of MIXED, some values missing, with the position that predicts EOS."""
    rng = np.random.default_rng(seed)
    arrays = {
        "position": rng.normal(size=(tokens, 2)),
        "action": rng.integers(5, 8, tokens),
        "task": rng.integers(5, 7, tokens),
        "calendar": rng.normal(size=(tokens, 3)),
    }
    observed = {"position": rng.random((tokens, 2)) > 0.2, "action": rng.random(tokens) > 0.2}
    return make_row(Sequence(arrays, observed=observed), MIXED, eos=True)


@pytest.fixture
def mixed_inputs() -> Callable[..., Inputs]:
    def make(*lengths: int) -> Inputs:
        return collate([mixed_row(n, seed=i) for i, n in enumerate(lengths)], MIXED).inputs

    return make
