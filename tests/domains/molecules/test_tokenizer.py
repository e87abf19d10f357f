from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis.strategies import SearchStrategy, text

from core.errors import ConfigError, RecordError
from core.sequence import Sequence
from core.vocabulary import SPECIALS
from domains.molecules.molecule import Molecule
from domains.molecules.parsing import canonical_smiles
from domains.molecules.tokenizer import (
    SelfiesTokenizer,
    SmilesAtomsConfig,
    SmilesAtomsTokenizer,
    SmilesBpeConfig,
    SmilesBpeTokenizer,
)
from domains.molecules.tokenizer.alphabet import COMMON_BRACKETS, SYMBOLS, SmilesAlphabet, parts_of_bracket
from domains.molecules.tokenizer.conditions import ANY, learn_condition
from tests.domains.molecules.made import HARD, PLAIN, molecules
from tests.tokenizer_kit import TokenizerContract

REFUSED = [
    (Molecule("", "empty"), "empty_smiles"),
    (Molecule("C" + chr(0xF6), "umlaut"), "non_ascii"),
    (Molecule("CC ethane", "named"), "white_space"),
    (Molecule("C1CC", "open ring"), "syntax"),
    (Molecule("CC(C)(C)(C)C", "five bonds"), "valence"),
    (Molecule("c1cccc1", "no double bonds"), "aromaticity"),
    (Molecule("smilesCCO", "glued header"), "syntax"),
]
CANONICAL = [canonical_smiles(s) for s in PLAIN + HARD]


def test_a_molecule_becomes_the_symbols_of_its_smiles_and_comes_back() -> None:
    tokenizer = SmilesAtomsTokenizer()
    sequence = tokenizer.encode("OCC[NH3+]")
    assert tokenizer.vocabulary.decode(sequence.arrays["tokens"]) == ["[NH3+]", "C", "C", "O"]
    assert tokenizer.decode(sequence).smiles == "[NH3+]CCO"


class Contract(TokenizerContract):
    records: ClassVar[SearchStrategy[Any]] = molecules()
    refused: ClassVar[list[tuple[Any, str]]] = REFUSED
    anything: ClassVar[SearchStrategy[Any] | None] = text("CcNnOo12()=#[]H+-@l%é ", max_size=12)

    def size(self, record: Molecule) -> float:
        return len(Molecule(canonical_smiles(record.smiles)))


class TestAtoms(Contract):
    tokenizer = SmilesAtomsTokenizer()


class TestDecomposed(Contract):
    tokenizer = SmilesAtomsTokenizer(SmilesAtomsConfig(brackets="decomposed"))


class TestLearned(Contract):
    unfitted = SmilesAtomsTokenizer(SmilesAtomsConfig(brackets="learned"))
    training: ClassVar[list[Any]] = [*HARD, *HARD]
    tokenizer = unfitted.fit(training)


class TestPieces(Contract):
    unfitted = SmilesBpeTokenizer(SmilesBpeConfig(vocabulary_size=256))
    training: ClassVar[list[Any]] = [*PLAIN, *HARD]
    tokenizer = unfitted.fit(training)


class TestConditions(Contract):
    unfitted = SmilesAtomsTokenizer(SmilesAtomsConfig(conditions=("logp", "rings"), bins=4))
    training: ClassVar[list[Any]] = list(PLAIN)
    tokenizer = unfitted.fit(training)


class TestSelfies(Contract):
    records = molecules(PLAIN)
    unfitted = SelfiesTokenizer()
    training: ClassVar[list[Any]] = [*PLAIN, *CANONICAL]
    tokenizer = unfitted.fit(training)
    anything = molecules(PLAIN + HARD)


@pytest.mark.parametrize("whole", [(), COMMON_BRACKETS])
def test_the_fast_cut_is_the_regular_expression(whole: tuple[str, ...]) -> None:
    alphabet = SmilesAlphabet(whole)
    plain = [alphabet.plain_cut(text) for text in CANONICAL]
    ids = {symbol: i + alphabet.first for i, symbol in enumerate(alphabet.symbols)}
    for text_, symbols in zip(CANONICAL, plain, strict=True):
        assert alphabet.cut(text_).tolist() == [ids[s] for s in symbols]
    tokens, offsets = alphabet.cut_many(CANONICAL)
    assert tokens.tolist() == [ids[s] for symbols in plain for s in symbols]
    assert np.diff(offsets).tolist() == [len(symbols) for symbols in plain]


def test_no_symbol_is_unknown_and_none_is_read_as_two() -> None:
    alphabet = SmilesAlphabet(COMMON_BRACKETS)
    assert len(set(alphabet.codes.values())) == len(alphabet.symbols)
    assert len(alphabet.symbols) + len(SPECIALS) < 256
    for text_ in ("[235U]", "[Og]", "[Co@OH25H2-3:42]", "C%12CC%(123)", "C$C~C:C", "[te]1cccc1"):
        assert "".join(alphabet.spelled[i - alphabet.first] for i in alphabet.cut(text_)) == text_


@pytest.mark.parametrize("text_", ["[#6]", "[C", "C]", "[CC]", "[Xx]", "C!", "[C@@@]", "C\nC", "Q"])
def test_what_is_no_symbol_is_refused(text_: str) -> None:
    alphabet = SmilesAlphabet(COMMON_BRACKETS)
    with pytest.raises(RecordError) as caught:
        alphabet.cut(text_, "odd")
    assert caught.value.reason == "syntax"
    with pytest.raises(RecordError):
        alphabet.cut_many(["CC", text_])


def test_bracket_atoms_are_taken_apart_by_their_parts() -> None:
    assert parts_of_bracket("[13C@@H2+2:7]") == ["[", "1", "3", "C", "@@", "H", "2", "+", "2", ":", "7", "]"]
    assert parts_of_bracket("[2H]") == ["[", "2", "<H>", "]"]
    assert set(parts_of_bracket("[Pt@SP1H2+2]") or ()) <= set(SYMBOLS)
    assert parts_of_bracket("[Pt@SPH]") is None


def test_many_are_spelled_as_one_by_one() -> None:
    for tokenizer in (TestAtoms.tokenizer, TestPieces.tokenizer, TestConditions.tokenizer, TestSelfies.tokenizer):
        sequences = [tokenizer.encode(text_) for text_ in PLAIN]
        lengths = np.array([len(s) for s in sequences])
        tokens = np.concatenate([s.arrays["tokens"] for s in sequences])
        assert tokenizer.spell_many(tokens, lengths) == [tokenizer.decode(s).smiles for s in sequences]
        assert tokenizer.spell_many(tokens[:0], lengths[:0]) == []


def test_a_random_reading_is_the_same_molecule_in_other_tokens() -> None:
    tokenizer = TestAtoms.tokenizer
    record = Molecule("CC(=O)Oc1ccccc1C(=O)O", "aspirin")
    views = [tokenizer.view_record(record, np.random.default_rng(seed)) for seed in range(8)]
    assert len({tuple(v.arrays["tokens"].tolist()) for v in views}) > 4
    assert all(tokenizer.same(tokenizer.decode(v), record) for v in views)


def test_conditions_stand_before_the_molecule_and_are_not_predicted() -> None:
    tokenizer = TestConditions.tokenizer
    record = Molecule("c1ccc2[nH]ccc2c1", "indole", labels={"logp": 99.0})
    sequence = tokenizer.encode(record)
    first, second = tokenizer.vocabulary.decode(sequence.arrays["tokens"][:2])
    assert first == "<logp:3>"  # the label goes before what RDKit computes
    assert second.startswith("<rings:")
    assert sequence.loss_mask["tokens"].tolist() == [False] * 2 + [True] * (len(sequence) - 2)
    assert tokenizer.units(sequence.arrays)[:2].tolist() == [0, 0]
    asked = tokenizer.prefix({"rings": 2})
    assert tokenizer.vocabulary.decode(asked.arrays["tokens"]) == [f"<logp:{ANY}>", second]
    with pytest.raises(ConfigError, match="did you mean 'logp'"):
        tokenizer.prefix({"logP": 1.0})


def test_a_prompt_is_the_beginning_of_a_smiles() -> None:
    tokenizer = TestConditions.tokenizer
    prompt = tokenizer.prompt("c1ccc(", {"rings": 1})
    assert tokenizer.vocabulary.decode(prompt.arrays["tokens"])[2:] == ["c", "1", "c", "c", "c", "("]
    assert tokenizer.decode(prompt).smiles == "c1ccc("
    assert len(TestAtoms.tokenizer.prompt()) == 0
    with pytest.raises(RecordError):
        tokenizer.prompt("c1!")


def test_what_is_not_asked_for_is_drawn_as_training_has_it() -> None:
    texts = ["C" * n + "O" * (n % 3) for n in range(2, 30)] * 4
    tokenizer = SmilesAtomsTokenizer(SmilesAtomsConfig(conditions=("logp", "weight"), bins=4)).fit(texts)
    told = {tuple(tokenizer.vocabulary.decode(p.arrays["tokens"])) for p in tokenizer.prompts(400, seed=1)}
    possible = set()
    for smiles in texts:
        logp, weight = (tokenizer._value(tokenizer.canonical(smiles), name) for name in ("logp", "weight"))
        possible.add((tokenizer.conditions[0].symbol(logp), tokenizer.conditions[1].symbol(weight)))
    assert told == possible
    rows = [tokenizer.vocabulary.decode(p.arrays["tokens"]) for p in tokenizer.prompts(50, "CC", {"logp": 1e9}, seed=1)]
    assert {row[0] for row in rows} == {"<logp:3>"}
    assert {tuple(row[2:]) for row in rows} == {("C", "C")}
    assert {row[1] for row in rows} == {second for first, second in possible if first == "<logp:3>"}
    again = type(tokenizer).from_config(tokenizer.to_config())
    assert [p.arrays["tokens"].tolist() for p in again.prompts(9, seed=5)] == [
        p.arrays["tokens"].tolist() for p in tokenizer.prompts(9, seed=5)
    ]
    assert [len(p) for p in TestAtoms.tokenizer.prompts(3, "CC")] == [2, 2, 2]


def test_bins_hold_equally_many_and_values_fall_into_theirs() -> None:
    values = np.random.default_rng(0).normal(size=4000)
    condition = learn_condition("logp", values.tolist(), 8)
    symbols = [condition.symbol(v) for v in values]
    counts = np.array([symbols.count(s) for s in condition.symbols[1:]])
    assert abs(counts - 500).max() <= 1
    for value, symbol in zip(values, symbols, strict=True):
        low, high = condition.bounds(symbol)
        assert low <= value < high
    assert condition.symbol(float("nan")) == condition.symbols[0]
    assert len(learn_condition("rings", [0.0, 1.0, 1.0, 2.0] * 9, 8).edges) == 2


def test_settings_that_are_not_allowed_are_refused() -> None:
    for settings, said in (
        ({"brackets": "hole"}, "did you mean 'whole'|not allowed"),
        ({"bins": 1}, "bins=1"),
        ({"conditions": ["logp", "logp"]}, "twice"),
        ({"bracket": "common"}, "did you mean 'brackets'"),
    ):
        with pytest.raises(ConfigError, match=said):
            SmilesAtomsTokenizer.from_config(settings)
    with pytest.raises(ConfigError, match="no bracket atom"):
        SmilesAlphabet(("[Qq]",))


@pytest.mark.parametrize("conditions", [(), ("rings",)])
def test_training_reads_a_molecule_anew_in_as_many_tokens(conditions: tuple[str, ...]) -> None:
    records = [Molecule(smiles) for smiles in CANONICAL]
    plain = SmilesAtomsTokenizer(SmilesAtomsConfig(conditions=conditions)).fit(records)
    viewing = SmilesAtomsTokenizer(replace(plain.config, random_view=True))
    anew = 0
    for number, record in enumerate(records):
        stored = viewing.encode(record).arrays
        assert plain.view_window(stored, np.random.default_rng(number)) is stored
        read = viewing.view_window(stored, np.random.default_rng(number))
        assert read["tokens"].dtype == stored["tokens"].dtype
        assert len(read["tokens"]) == len(stored["tokens"])
        assert (read["tokens"][: len(conditions)] == stored["tokens"][: len(conditions)]).all()
        spelled = viewing.decode(Sequence(read)).smiles
        assert canonical_smiles(spelled) == record.smiles
        anew += spelled != record.smiles
    assert anew > len(records) / 3
    part = {"tokens": viewing.encode("c1ccccc1C(C)CC").arrays["tokens"][:-1]}  # the ring stays open
    assert viewing.view_window(part, np.random.default_rng(0)) is part
    masked = {**stored, "loss_mask/tokens": np.ones(len(stored["tokens"]), bool)}
    assert viewing.view_window(masked, np.random.default_rng(0)) is masked
