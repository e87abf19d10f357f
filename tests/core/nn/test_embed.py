"""What is not there is read as a learned vector of its own, n-grams look back only, and nothing needs the whole row."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.batching.batch import Inputs
from core.nn.config import ModelConfig
from core.nn.embed import RealEmbedding, TokenEmbedding
from core.nn.ngram import NgramEmbedding
from core.sequence import Role, Symbols, TokenSpec, Vectors, real, symbol
from core.vocabulary import BOS, UNK, Vocabulary

LETTERS = Vocabulary(tuple("ACGT"))


def test_fields_are_embedded_and_summed() -> None:
    spec = TokenSpec((symbol("s", LETTERS), real("x", 2), symbol("g", LETTERS, Role.GIVEN)))
    embed = TokenEmbedding(spec, ModelConfig(width=32))
    inputs = Inputs({"s": torch.tensor([[BOS, 5]]), "x": torch.randn(1, 2, 2), "g": torch.tensor([[6, 6]])})
    expected = sum(
        embed.fields[name](*args)
        for name, args in (
            ("s", (inputs.fields["s"],)),
            ("x", (inputs.fields["x"], torch.zeros(1, 2, 2, dtype=torch.bool), None, None)),
            ("g", (inputs.fields["g"],)),
        )
    )
    torch.testing.assert_close(embed(inputs)[0], expected)


def test_a_missing_or_absent_value_is_not_looked_at() -> None:
    embed = TokenEmbedding(Vectors(3), ModelConfig(width=32))

    def read(values: Tensor, observed: Tensor | None, start: Tensor | None) -> Tensor:
        seen = {} if observed is None else {"values": observed[None]}
        return embed(Inputs({"values": values[None]}, seen, None if start is None else start[None]))[0][0]

    a, b = torch.randn(2, 4, 3)
    observed = torch.tensor([[True, True, True], [True, False, True], [False] * 3, [True] * 3])
    start = torch.tensor([False, False, False, True])
    mixed = torch.where(observed & ~start[:, None], a, b)
    torch.testing.assert_close(read(a, observed, start), read(mixed, observed, start))
    assert not torch.allclose(read(a, observed, start)[3], read(a, observed, None)[3])
    zeros = torch.zeros(1, 3)
    kinds = [read(zeros, torch.ones(1, 3).bool(), s) for s in (torch.tensor([False]), torch.tensor([True]))]
    kinds.append(read(zeros, torch.zeros(1, 3).bool(), None))
    assert len({tuple(k[0].tolist()) for k in kinds}) == 3  # zero, start and missing are three things


def test_products_of_values_are_read_beside_them() -> None:
    embed = RealEmbedding(3, 0, 3, 8)
    assert embed.proj.in_features == 3 + 3 + 1 + 6 + 10
    with torch.no_grad():
        embed.proj.weight[:, :7] = 0
    z = torch.randn(5, 3)
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    torch.testing.assert_close(
        embed(z, nothing, None, None) - embed.proj.bias,
        torch.stack([z[:, i] * z[:, j] for i in range(3) for j in range(i, 3)], 1) @ embed.proj.weight[:, 7:13].T
        + torch.stack([z[:, i] * z[:, j] * z[:, k] for i in range(3) for j in range(i, 3) for k in range(j, 3)], 1)
        @ embed.proj.weight[:, 13:].T,
    )


def test_a_missing_symbol_is_unknown() -> None:
    embed = TokenEmbedding(Symbols(LETTERS), ModelConfig(width=32))
    hidden = Inputs({"tokens": torch.tensor([[5, 6]])}, observed={"tokens": torch.tensor([[True, False]])})
    torch.testing.assert_close(embed(hidden)[0], embed(Inputs({"tokens": torch.tensor([[5, UNK]])}))[0])


def test_start_means_the_first_position_for_targets_and_the_end_for_known_ahead_fields() -> None:
    spec = TokenSpec((real("x", 1), symbol("s", LETTERS), real("ahead", 1, Role.KNOWN_AHEAD)))
    embed = TokenEmbedding(spec, ModelConfig(width=32))
    start = torch.tensor([[True, False, True]])
    base = {"x": torch.zeros(1, 3, 1), "s": torch.full((1, 3), 5), "ahead": torch.zeros(1, 3, 1)}

    def reads(field: str) -> list[bool]:
        changed = {**base, field: torch.ones(1, 3, 1)}
        difference = embed(Inputs(changed, start=start))[0] - embed(Inputs(base, start=start))[0]
        return difference[0].abs().sum(-1).gt(0).tolist()

    assert reads("x") == [False, True, True]
    assert reads("ahead") == [True, True, False]


@pytest.mark.parametrize("rows", [10_000, 50])
def test_an_ngram_is_the_last_n_symbols_and_nothing_else(rows: int) -> None:
    grams = NgramEmbedding(len(LETTERS), (3,), rows, 4)
    ids = torch.tensor([[BOS, 5, 6, 7, 8, 5, 6, 7, 7, 7]])
    index = grams.rows(ids)[3][0]
    assert index[3] == index[7]  # ACG both times
    assert index[3] != index[8]
    assert index.max() < grams.tables["3"].num_embeddings
    assert (grams.tables["3"].num_embeddings == 5**3) == (rows > 5**3)


def test_enumerated_ngrams_never_collide() -> None:
    grams = NgramEmbedding(len(LETTERS), (3,), 125, 4)
    triples = torch.cartesian_prod(*[torch.arange(5, 9)] * 3)
    assert len(grams.rows(triples)[3][:, 2].unique()) == 64


def test_hashed_ngrams_spread_over_the_table() -> None:
    grams = NgramEmbedding(len(LETTERS), (8,), 1000, 4)
    torch.manual_seed(0)
    used = grams.rows(torch.randint(5, 9, (1, 20_000)))[8].unique()
    assert len(used) == 1000


def test_ngrams_begin_anew_with_every_document_and_go_on_from_recent_symbols() -> None:
    grams = NgramEmbedding(len(LETTERS), (1, 2, 4), 1000, 4)
    ids = torch.randint(5, 9, (2, 9), generator=torch.Generator().manual_seed(0))
    segments = torch.tensor([[0] * 4 + [1] * 5] * 2)
    whole = grams(ids)
    torch.testing.assert_close(grams(ids, segments=segments), torch.cat((grams(ids[:, :4]), grams(ids[:, 4:])), 1))
    torch.testing.assert_close(grams(ids[:, 5:], recent=ids[:, 2:5]), whole[:, 5:])
