"""The kit can fail: each way of breaking the tokenizer's contract is caught by the check that is for it."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.SeqRecord import SeqRecord

from core.sequence import Sequence
from domains.dna.tokenizer import NucleotideTokenizer
from domains.formats.seq_record import make_record
from tests import tokenizer_kit as kit

RECORD = make_record(b"ACGTTGCAN", "a")


def test_a_sound_tokenizer_passes() -> None:
    sound = NucleotideTokenizer()
    kit.check_round_trip(sound, RECORD)
    kit.check_config(sound, RECORD)
    kit.check_spec(sound, sound.encode(RECORD).arrays)
    kit.check_units(sound, RECORD, 9)
    kit.check_views(sound, RECORD)
    kit.check_extension(sound, RECORD, ("<x>",))
    kit.check_refusal(sound, make_record(b"AC-T", "b"), "b", "gap")


class LosesTheLastBase(NucleotideTokenizer):
    def decode(self, sequence: Sequence) -> SeqRecord:
        return super().decode(sequence.slice(0, len(sequence) - 1))


class CanonicalGrows(NucleotideTokenizer):
    def canonical(self, record: SeqRecord | str) -> SeqRecord:
        letters = super().canonical(record)
        return letters if len(letters) > 20 else make_record(bytes(letters.seq) + b"A", letters.id or "")


class ForgetsItsConfig(NucleotideTokenizer):
    def to_config(self) -> dict:
        return {**super().to_config(), "iupac": "n"}


class WrongType(NucleotideTokenizer):
    def encode(self, record: SeqRecord | str) -> Sequence:
        found = super().encode(record)
        return Sequence({"tokens": found.arrays["tokens"].astype(np.int64)}, found.id)


class HasSpecials(NucleotideTokenizer):
    def encode(self, record: SeqRecord | str) -> Sequence:
        found = super().encode(record)
        return Sequence({"tokens": np.concatenate([[np.uint8(1)], found.arrays["tokens"]])}, found.id)


class CountsTokensTwice(NucleotideTokenizer):
    def units(self, arrays: dict) -> np.ndarray:
        return 2 * super().units(arrays)


class ViewOfItsOwnWill(NucleotideTokenizer):
    calls = 0

    def view_window(self, arrays: dict, rng: np.random.Generator) -> dict:
        self.calls += 1
        return super().view_window(arrays, np.random.default_rng(self.calls))


class ViewLosesLength(NucleotideTokenizer):
    def view_window(self, arrays: dict, rng: np.random.Generator) -> dict:
        return {"tokens": arrays["tokens"][1:]}


class ViewWritesIntoTheWindow(NucleotideTokenizer):
    def view_window(self, arrays: dict, rng: np.random.Generator) -> dict:
        arrays["tokens"][:] = arrays["tokens"][::-1]
        return arrays


class RenumbersOnExtension(NucleotideTokenizer):
    def extend(self, symbols: tuple) -> NucleotideTokenizer:
        return NucleotideTokenizer.from_config({"iupac": "n", "extension": list(symbols)})


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (LosesTheLastBase(), kit.check_round_trip),
        (CanonicalGrows(), kit.check_round_trip),
        (ForgetsItsConfig(), kit.check_config),
        (WrongType(), lambda t, r: kit.check_spec(t, t.encode(r).arrays)),
        (HasSpecials(), lambda t, r: kit.check_spec(t, t.encode(r).arrays)),
        (CountsTokensTwice(), lambda t, r: kit.check_units(t, r, 9)),
        (ViewOfItsOwnWill(), kit.check_views),
        (ViewLosesLength(), kit.check_views),
        (ViewWritesIntoTheWindow(), kit.check_views),
        (RenumbersOnExtension(), lambda t, r: kit.check_extension(t, r, ("<x>",))),
        (NucleotideTokenizer(), lambda t, r: kit.check_refusal(t, r, "a", "gap")),
        (NucleotideTokenizer(), lambda t, r: kit.check_refusal(t, make_record(b"A1", "b"), "b", "gap")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, NucleotideTokenizer) else "",
)
def test_what_breaks_the_contract_is_caught(broken: NucleotideTokenizer, check) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(broken, RECORD)
