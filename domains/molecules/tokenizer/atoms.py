"""A token an atom, a bond, a branch or ring mark: SMILES by its own grammar. The default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from core.sequence import Array
from domains.molecules.tokenizer.alphabet import BRACKET, COMMON_BRACKETS, LARGEST, SmilesAlphabet
from domains.molecules.tokenizer.shared import MoleculeConfig, MoleculeTokenizer

if TYPE_CHECKING:
    from domains.molecules.tokenizer.grammar import SmilesGrammar

CHOICES = ("common", "learned", "decomposed")


@dataclass(frozen=True)
class SmilesAtomsConfig(MoleculeConfig):
    brackets: str = "common"
    """Bracket atoms of one symbol. "common": a fixed list of drug-like chemistry; "learned": the most frequent ones of
    the training split; "decomposed": none. All others are taken apart, so that there is no unknown symbol."""
    whole: tuple[str, ...] | None = None
    """The list, once learned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.brackets not in CHOICES:
            raise ConfigError(
                f"brackets={self.brackets!r} is not allowed{nearest(str(self.brackets), CHOICES)}",
                hint=f"Allowed: {', '.join(CHOICES)}.",
            )
        if self.whole is not None and self.brackets != "learned":
            raise ConfigError(f"whole: a list goes with brackets=learned, not {self.brackets}")


class SmilesAtomsTokenizer(MoleculeTokenizer[SmilesAtomsConfig]):
    """SMILES to symbols and back, every SMILES that RDKit writes: about 200,000 a second one by one, a million in bulk
    (`alphabet.cut_many`).
    """

    kind: ClassVar[str] = "smiles_atoms"
    config_class = SmilesAtomsConfig

    @cached_property
    def alphabet(self) -> SmilesAlphabet:
        config = self.config
        if config.brackets == "learned" and config.whole is None:
            raise ConfigError(f"tokenizer {self.kind} has not learned its bracket atoms yet", hint="Call fit first.")
        return SmilesAlphabet(COMMON_BRACKETS if config.brackets == "common" else config.whole or ())

    @property
    def learned(self) -> bool:
        return self.config.brackets != "learned" or self.config.whole is not None

    def learn(self, smiles: Iterable[str]) -> SmilesAtomsConfig:
        if self.learned:
            return super().learn(smiles)
        return replace(self.config, whole=frequent_brackets(smiles))

    def symbols(self) -> tuple[str, ...]:
        return self.alphabet.symbols

    def cut(self, smiles: str, name: str) -> Array:
        return self.alphabet.cut(smiles, name)

    def texts(self) -> tuple[str, ...]:
        return self.alphabet.spelled

    def symbol_atoms(self) -> NDArray[np.float64]:
        alphabet = self.alphabet
        return alphabet.atoms(np.arange(alphabet.first, alphabet.first + len(alphabet.symbols)))

    def grammar(self, **limits: Any) -> SmilesGrammar:
        """The automaton of SMILES; `max_length` makes every sample end by itself within so many tokens."""
        from domains.molecules.tokenizer.grammar import SmilesGrammar

        return SmilesGrammar(self.alphabet, len(self.vocabulary), self.conditions, max_length=limits.get("max_length"))


def frequent_brackets(smiles: Iterable[str]) -> tuple[str, ...]:
    """The bracket atoms that occur at least twice, most frequent first, as many as have room."""
    counts: Counter[str] = Counter()
    for text in smiles:
        if BRACKET in text:
            counts.update(part for part in _bracket_parts(text))
    order = sorted((n for n in counts if counts[n] > 1), key=lambda part: (-counts[part], part))
    return tuple(order[:LARGEST])


def _bracket_parts(text: str) -> list[str]:
    return [BRACKET + part.partition("]")[0] + "]" for part in text.split(BRACKET)[1:]]
