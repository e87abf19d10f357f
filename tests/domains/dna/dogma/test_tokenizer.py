"""Genes as tokens: the contract of every tokenizer, what is predicted, and the grammar of whole codons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import EOS
from domains.dna.dogma.gene import BASES, RESIDUES, Gene, genetic_code
from domains.dna.dogma.tokenizer import DogmaTokenizer, DogmaTokenizerConfig
from tests.tokenizer_kit import TokenizerContract

DOGMA = DogmaTokenizer()


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    codons = draw(st.lists(st.sampled_from(sorted(genetic_code())), min_size=1, max_size=9))
    code = genetic_code()
    cds = "".join(codons)
    protein = draw(st.sampled_from(["", "".join(code[codon] for codon in codons)])) or None
    return Gene(draw(st.sampled_from(["a", "b"])), draw(st.sampled_from([cds, cds.lower()])), protein)


class TestDogma(TokenizerContract):
    tokenizer = DOGMA
    records = genes()
    refused = [
        (Gene("empty", ""), "no_codons"),
        (Gene("frame", "ATGA"), "no_codons"),
        (Gene("n", "ATN"), "bad_letter"),
        (Gene("stop", "ATG", "*"), "bad_letter"),
        (Gene("long", "ATG", "MM"), "bad_length"),
    ]
    anything = st.builds(Gene, st.just("x"), st.text(max_size=6), st.none() | st.text(max_size=3))

    def size(self, record: Gene) -> float:
        return len(record.protein or "")


def test_bases_are_small_and_only_residues_are_predicted() -> None:
    sequence = DOGMA.encode(Gene("g", "ATGGCT", "MA"))
    assert DOGMA.vocabulary.decode(sequence.arrays["tokens"]) == ["<dna>", *"atggct", "<protein>", *"MA"]
    assert sequence.loss_mask["tokens"].tolist() == [False] * 8 + [True] * 2
    assert sequence.labels == {"codons": 2, "made": False}


def test_a_refusal_names_the_letter_and_its_place() -> None:
    with pytest.raises(RecordError, match="'g', base 4: got 'N'"):
        DOGMA.encode(Gene("g", "ATGNCT"))
    with pytest.raises(RecordError, match="2 codons and 1 residues"):
        DOGMA.encode(Gene("g", "ATGGCT", "M"))
    for tokens in ([5], [31], [29, 5, 5, 5], [29, 9, 30], [0, 29, 5, 5, 5, 30]):
        with pytest.raises(RecordError):
            DOGMA.decode(Sequence({"tokens": np.array(tokens, np.uint8)}, "x"))


def test_the_grammar_asks_for_whole_codons_and_a_residue_for_each() -> None:
    grammar, ids = DOGMA.grammar(), DOGMA.vocabulary.ids
    names = {i: symbol for symbol, i in ids.items()} | {EOS: "end"}

    def allowed(state) -> list[set[str]]:
        return [{names[i] for i in row.nonzero()[:, 0].tolist()} for row in grammar.allowed(state)]

    state = grammar.start(1)
    assert allowed(state) == [{"<dna>"}]
    seen = []
    for symbol in ["<dna>", *"atggct", "<protein>", *"MA"]:
        seen.append(allowed(state)[0])
        assert symbol in seen[-1]
        state = grammar.advance(state, torch.tensor([ids[symbol]]))
    assert seen[1:4] == [set(BASES.lower())] * 3
    assert seen[4] == {*BASES.lower(), "<protein>"}
    assert seen[8:] == [set(RESIDUES)] * 2
    assert allowed(state) == [{"end"}]
    twice = state.select(torch.tensor([0, 0])).reset(torch.tensor([1]))
    assert allowed(twice) == [{"end"}, {"<dna>"}]


def test_extensions_are_new_symbols() -> None:
    assert len(DOGMA.extend(["<rna>"]).vocabulary) == len(DOGMA.vocabulary) + 1
    with pytest.raises(ConfigError, match="a symbol already"):
        DogmaTokenizerConfig(extension=("<dna>",))
