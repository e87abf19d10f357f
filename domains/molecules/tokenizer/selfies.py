"""SELFIES (Krenn et al. 2020): every sequence of its symbols is a molecule, by construction. Needs the package selfies.

Symbols are those of the training split, closed by `fit`. What SELFIES cannot carry is refused with its reason: a
molecule that it reads as another one, one that it has no words for, a symbol that is not in training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.molecules.molecule import Molecule
from domains.molecules.parsing import canonical_smiles
from domains.molecules.tokenizer.shared import MoleculeConfig, MoleculeTokenizer

_MARKS = ("Branch", "Ring", "epsilon", "nop")


@dataclass(frozen=True)
class SelfiesConfig(MoleculeConfig):
    learned: tuple[str, ...] | None = None
    """The symbols, once learned."""


class SelfiesTokenizer(MoleculeTokenizer[SelfiesConfig]):
    """SELFIES symbols; decoding gives RDKit's canonical SMILES of what they mean. About 700 molecules a second."""

    kind: ClassVar[str] = "selfies"
    config_class = SelfiesConfig

    @property
    def learned(self) -> bool:
        return self.config.learned is not None

    def learn(self, smiles: Iterable[str]) -> SelfiesConfig:
        if self.learned:
            return super().learn(smiles)
        counts: Counter[str] = Counter()
        for text in smiles:
            try:
                counts.update(self._parts(text, ""))
            except RecordError:
                continue  # refused again, and counted, when it is encoded
        return replace(self.config, learned=tuple(sorted(counts, key=lambda part: (-counts[part], part))))

    def symbols(self) -> tuple[str, ...]:
        if self.config.learned is None:
            raise ConfigError(f"tokenizer {self.kind} has not learned its symbols yet", hint="Call fit first.")
        return self.config.learned

    def texts(self) -> tuple[str, ...]:
        return self.symbols()

    def cut(self, smiles: str, name: str) -> Array:
        parts = self._parts(smiles, name)
        ids = self.vocabulary.ids
        for at, part in enumerate(parts):
            if part not in ids:
                message = f"molecule '{name}': the SELFIES symbol {part} is in no training molecule"
                raise RecordError("unknown_symbol", message, record=name, position=at)
        return self.vocabulary.encode(parts).astype(self.vocabulary.dtype)

    def spell(self, ids: Array, name: str) -> str:
        """The canonical SMILES of what the symbols mean; "" where they mean no atom."""
        return self._read("".join([self._written[i] for i in ids.tolist()]))

    def spell_many(self, tokens: Array, lengths: NDArray[np.int64]) -> list[str]:
        pieces = np.split(tokens, np.cumsum(lengths)[:-1]) if len(lengths) else []
        return [self.spell(piece, "") for piece in pieces]

    def view_record(self, record: Molecule | str, rng: np.random.Generator) -> Sequence:
        """A random reading, or the stored one where the random one needs a symbol that training has not."""
        try:
            return super().view_record(record, rng)
        except RecordError:
            return self.encode(record)

    def symbol_atoms(self) -> NDArray[np.float64]:
        return np.array([float(not any(mark in part for mark in _MARKS) and part != ".") for part in self.symbols()])

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """Atoms of each token; behind `[Branch2]` or `[Ring2]` two symbols tell a length and stand for none."""
        tokens = arrays["tokens"]
        units, told = self._atoms[tokens], self._numbers[tokens]
        behind = 0
        for place in np.flatnonzero(told).tolist():
            if place >= behind:  # else it tells a length itself
                behind = place + 1 + int(told[place])
                units[place + 1 : behind] = 0
        return units

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        """(V,) how many symbols behind each tell a length."""
        numbers = np.zeros(len(self.vocabulary), np.int64)
        for number, part in enumerate(self.symbols(), len(SPECIALS)):
            if "Branch" in part or "Ring" in part:
                numbers[number] = int(part[-2])
        return numbers

    def _parts(self, smiles: str, name: str) -> list[str]:
        """Raises RecordError where SELFIES does not carry the molecule."""
        selfies = _selfies()
        try:
            written = selfies.encoder(smiles)
        except selfies.EncoderError as error:
            reason = " ".join(str(error).split())[:120]
            raise RecordError("no_selfies", f"molecule '{name}' has no SELFIES: {reason}", record=name) from None
        back = self._read(written)
        if back != smiles and back != canonical_smiles(smiles):
            message = f"molecule '{name}': its SELFIES is read as {back or 'nothing'}, not {smiles}"
            raise RecordError("selfies_changes", message, record=name)
        return list(selfies.split_selfies(written))

    def _read(self, written: str) -> str:
        text = _selfies().decoder(written)
        try:
            return canonical_smiles(text) if text else ""
        except RecordError:
            return str(text)


def _selfies() -> Any:
    try:
        import selfies
    except ImportError:
        raise ConfigError("tokenizer selfies needs the package selfies", hint="pip install 'foretell[chem]'") from None
    return selfies
