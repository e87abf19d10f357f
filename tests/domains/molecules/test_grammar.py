from __future__ import annotations

import numpy as np
import pytest
import torch

from core.vocabulary import EOS, SPECIALS
from domains.molecules.parsing import canonical_smiles, quiet
from domains.molecules.tokenizer import SmilesAtomsConfig, SmilesAtomsTokenizer
from domains.molecules.tokenizer.grammar import SmilesState
from tests.domains.molecules.made import HARD, PLAIN, shuffled

TOKENIZER = SmilesAtomsTokenizer()
DECOMPOSED = SmilesAtomsTokenizer(SmilesAtomsConfig(brackets="decomposed"))


def follow(tokenizer: SmilesAtomsTokenizer, smiles: str) -> tuple[list[bool], SmilesState]:
    """Whether each symbol and the end are allowed where they stand."""
    grammar = tokenizer.grammar()
    state, said = grammar.start(1), []
    for token in [*tokenizer.cut(smiles, "").tolist(), EOS]:
        said.append(bool(grammar.allowed(state)[0, token]))
        if token != EOS:
            state = grammar.advance(state, torch.tensor([token]))
    return said, state


def walk(tokenizer: SmilesAtomsTokenizer, rows: int, limit: int, end: float) -> list[list[int]]:
    """Rows drawn by nothing but the grammar, EOS taken `end` times as often as another symbol."""
    grammar, generator = tokenizer.grammar(max_length=limit), torch.Generator().manual_seed(limit)
    state, out = grammar.start(rows), [list[int]() for _ in range(rows)]
    live = list(range(rows))
    while live:
        weights = grammar.allowed(state).double()
        assert weights.any(dim=1).all(), "a row has nowhere to go"
        assert not weights[:, [i for i in range(len(SPECIALS)) if i != EOS]].any()
        weights[:, EOS] *= end
        drawn = torch.multinomial(weights, 1, generator=generator)[:, 0]
        for row, token in zip(live, drawn.tolist(), strict=True):
            out[row].append(token)
        assert max(map(len, out)) <= limit
        stay = drawn != EOS
        state = grammar.advance(state, drawn).select(torch.nonzero(stay)[:, 0])
        live = [row for row, keep in zip(live, stay.tolist(), strict=True) if keep]
    return out


def test_it_knows_what_may_follow() -> None:
    assert follow(TOKENIZER, "CC(=O)O")[0] == [True] * 8
    for wrong, at in (("CC)", 2), ("C(", 2), ("C1CC", 4), ("FF(C)", 2), ("C=", 2), ("C11", 2), ("C1C1", 3), ("(C)", 0)):
        said, _ = follow(TOKENIZER, wrong)
        assert not said[at], f"{wrong}: symbol {at} should not be allowed"
        assert all(said[:at]), f"{wrong}: what stands before it should be"


@pytest.mark.parametrize("tokenizer", [TOKENIZER, DECOMPOSED], ids=["common", "decomposed"])
def test_every_molecule_is_accepted_in_every_reading(tokenizer: SmilesAtomsTokenizer) -> None:
    for smiles in PLAIN + HARD:
        for text in (canonical_smiles(smiles), *(shuffled(smiles, seed) for seed in range(1, 4))):
            said, _ = follow(tokenizer, text)
            assert all(said), f"{text}: symbol {said.index(False)} is not allowed"


@pytest.mark.parametrize("limit", [2, 5, 9, 17, 40, 90])
def test_whatever_it_allows_parses_and_ends_in_time(limit: int) -> None:
    from rdkit import Chem

    quiet()
    for row in walk(TOKENIZER, 150, limit, end=0.05):
        assert row[-1] == EOS
        text = TOKENIZER.spell(np.array(row[:-1]), "")
        assert Chem.MolFromSmiles(text, sanitize=False) is not None, text


def test_valences_are_kept() -> None:
    from rdkit import Chem

    quiet()
    organic = SmilesAtomsTokenizer(SmilesAtomsConfig(brackets="decomposed"))
    kept = [
        text for row in walk(organic, 300, 24, end=0.3) if "[" not in (text := organic.spell(np.array(row[:-1]), ""))
    ]
    assert len(kept) > 50
    problems = [p.GetType() for t in kept for p in Chem.DetectChemistryProblems(Chem.MolFromSmiles(t, sanitize=False))]
    assert "AtomValenceException" not in problems


def test_rows_move_alike_alone_and_together_and_after_a_reset() -> None:
    grammar = TOKENIZER.grammar(max_length=30)
    texts = [canonical_smiles(text) for text in PLAIN[4:12]]
    ids = [TOKENIZER.cut(text, "").tolist() for text in texts]
    together = grammar.start(len(texts))
    for step in range(min(map(len, ids))):
        tokens = torch.tensor([row[step] for row in ids])
        together = grammar.advance(together, tokens)
        for i, row in enumerate(ids):
            alone = grammar.start(1)
            for token in row[: step + 1]:
                alone = grammar.advance(alone, torch.tensor([token]))
            assert torch.equal(grammar.allowed(alone)[0], grammar.allowed(together)[i])
    kept = together.clone()
    anew = together.reset(torch.tensor([1]))
    assert torch.equal(grammar.allowed(anew)[1], grammar.allowed(grammar.start(1))[0])
    assert torch.equal(grammar.allowed(together), grammar.allowed(kept)), "reset changed the state it was called on"
    assert torch.equal(grammar.allowed(anew.select(torch.tensor([0, 0])))[1], grammar.allowed(kept)[0])


def test_conditions_come_first() -> None:
    tokenizer = SmilesAtomsTokenizer(SmilesAtomsConfig(conditions=("logp",), bins=2)).fit(PLAIN)
    grammar = tokenizer.grammar()
    state = grammar.start(1)
    allowed = torch.nonzero(grammar.allowed(state)[0])[:, 0].tolist()
    assert tokenizer.vocabulary.decode(allowed) == ["<logp:any>", "<logp:0>", "<logp:1>"]
    state = grammar.advance(state, torch.tensor(allowed[:1]))
    assert torch.equal(
        grammar.allowed(state)[0, : len(TOKENIZER.vocabulary)],
        TOKENIZER.grammar().allowed(TOKENIZER.grammar().start(1))[0],
    )
