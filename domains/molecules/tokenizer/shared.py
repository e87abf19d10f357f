"""What the tokenizers of molecules share: canonical SMILES in, conditions before them, random SMILES as a view.

A kind adds its symbols, how a SMILES is cut into them and how they spell one. Ids: the specials, the kind's symbols,
those of conditions, then what `extend` appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.molecules.descriptors import PROPERTIES, property_of
from domains.molecules.molecule import Molecule, as_molecule
from domains.molecules.parsing import canonical_smiles, parse
from domains.molecules.tokenizer.conditions import (
    Condition,
    drawn_symbols,
    hidden,
    learn_condition,
    prefix_symbols,
    seen_bins,
)

if TYPE_CHECKING:
    from domains.molecules.tokenizer.grammar import SmilesGrammar

MAX_BINS = 64
READINGS = 16
"""Random SMILES that are drawn for one that has as many tokens as the stored one."""


@dataclass(frozen=True)
class MoleculeConfig:
    """What all of them can be told."""

    conditions: tuple[str, ...] = ()
    """Properties that stand as tokens before each molecule: logp, qed, sa, rings, weight, or any label of the records.
    A model trained so can be asked for values."""
    bins: int = 8
    """Bins of a property, 2 to 64."""
    edges: tuple[tuple[float, ...], ...] | None = None
    """Borders of the bins by condition, once learned."""
    seen: tuple[tuple[int, ...], ...] | None = None
    """Bins of some training molecules, a row a molecule, -1 for a value that is not known, once learned: what stands
    before a sample that is asked for nothing."""
    random_view: bool | None = None
    """Whether training reads a molecule anew each time, as a random SMILES (Arus-Pous et al. 2019) of as many tokens as
    the stored one; where none of a few drawn has, the stored one is read."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`: marks that stand in no record and are left out by decode."""

    def __post_init__(self) -> None:
        if not isinstance(self.bins, int) or not 2 <= self.bins <= MAX_BINS:
            raise ConfigError(f"bins={self.bins!r} is not allowed: 2 to {MAX_BINS}")
        if len(set(self.conditions)) != len(self.conditions):
            raise ConfigError(f"conditions: {', '.join(self.conditions)} names one twice")
        if self.edges is not None and len(self.edges) != len(self.conditions):
            raise ConfigError(f"edges: {len(self.edges)} rows for {len(self.conditions)} conditions")


Config = TypeVar("Config", bound=MoleculeConfig)


class MoleculeTokenizer(ConfiguredTokenizer[Molecule | str, Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that does not depend on the symbols."""

    natural_unit: ClassVar[str] = "atom"
    config_class: ClassVar[type[MoleculeConfig]]

    def symbols(self) -> tuple[str, ...]:
        """The symbols that molecules are spelled with, in id order."""
        raise NotImplementedError

    def cut(self, smiles: str, name: str) -> Array:
        """Ids (T,) of a SMILES. Raises RecordError."""
        raise NotImplementedError

    def texts(self) -> tuple[str, ...]:
        """What each of `symbols` is written as in a SMILES."""
        raise NotImplementedError

    def spell(self, ids: Array, name: str) -> str:
        """The SMILES that ids (T,) of `symbols` stand for."""
        written = self._written
        return "".join([written[i] for i in ids.tolist()])

    def spell_many(self, tokens: Array, lengths: NDArray[np.int64]) -> list[str]:
        """The SMILES of sequences that stand one after the other: tokens (sum of lengths,), conditions among them."""
        flat, starts, sizes = self._flat
        ended = np.insert(tokens.astype(np.int64), np.cumsum(lengths), 0)  # PAD writes a line end
        size = sizes[ended]
        ends = np.cumsum(size)
        places = np.repeat(starts[ended] - (ends - size), size) + np.arange(ends[-1] if len(ends) else 0)
        text: str = flat[places].tobytes().decode("ascii")
        return text.split("\n")[: len(lengths)]

    def symbol_atoms(self) -> NDArray[np.float64]:
        """Atoms of each of `symbols`."""
        raise NotImplementedError

    def learn(self, smiles: Iterable[str]) -> Config:
        """The config with what the symbols need to know of training molecules."""
        for _ in smiles:
            pass
        return self.config

    @property
    def learned(self) -> bool:
        """Whether the symbols are known."""
        return True

    @property
    def needs_fit(self) -> bool:
        return not self.learned or (bool(self.config.conditions) and self.config.edges is None)

    def fit(self, train_records: Iterable[Molecule | str]) -> Self:
        """A tokenizer that knows its symbols and the bins of its conditions. Raises RecordError."""
        if not self.needs_fit:
            return self
        names = self.config.conditions
        values: dict[str, list[float]] = {name: [] for name in names}

        def smiles() -> Iterable[str]:
            for record in train_records:
                molecule = self.canonical(record)
                for name in names:
                    values[name].append(self._value(molecule, name))
                yield molecule.smiles

        config = self.learn(smiles())
        learned = [learn_condition(name, values[name], config.bins) for name in names]
        seen = seen_bins(learned, values) if names else None
        return type(self)(replace(config, edges=tuple(c.edges for c in learned), seen=seen))

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        edges = self.config.edges
        if self.config.conditions and edges is None:
            raise ConfigError(
                f"tokenizer {self.kind} has not learned the bins of its conditions yet",
                hint="Call fit(train_records) first.",
            )
        return tuple(map(Condition, self.config.conditions, edges or ()))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        asked = tuple(s for condition in self.conditions for s in condition.symbols)
        return Vocabulary((*self.symbols(), *asked, *self.config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def encode(self, record: Molecule | str) -> Sequence:
        """Raises RecordError naming the molecule and the reason where it is refused."""
        molecule = as_molecule(record)
        if not molecule.canonical:
            molecule = self.canonical(molecule)
        return self._sequence(molecule, molecule.reading or molecule.smiles)

    def decode(self, sequence: Sequence) -> Molecule:
        """The SMILES that the tokens spell, which a model may have got wrong: it is not parsed here.

        Raises RecordError where a special stands among the tokens.
        """
        tokens = sequence.arrays["tokens"]
        if len(tokens) and tokens.min() < len(SPECIALS):
            at = int(np.argmax(tokens < len(SPECIALS)))
            raise RecordError(
                "special_symbol",
                f"sequence '{sequence.id}': token {at} is {SPECIALS[int(tokens[at])]}, no part of a molecule",
                record=sequence.id,
                position=at,
            )
        spelling = tokens[tokens < self._end]
        return Molecule(self.spell(spelling, sequence.id), sequence.id)

    def canonical(self, record: Molecule | str) -> Molecule:
        """The canonical SMILES and the id, and what else the record has. Raises RecordError."""
        molecule = as_molecule(record)
        if molecule.canonical:
            return molecule
        return replace(molecule, smiles=canonical_smiles(molecule.smiles, molecule.id), canonical=True, reading="")

    def same(self, a: Molecule | str, b: Molecule | str) -> bool:
        """Whether ids and canonical SMILES are equal."""
        first, second = self.canonical(a), self.canonical(b)
        return first.id == second.id and first.smiles == second.smiles

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """Atoms of each token; bonds, brackets and conditions have none."""
        return self._atoms[arrays["tokens"]]

    def grammar(self, **limits: Any) -> SmilesGrammar | None:
        """None: every sequence of symbols spells a text."""
        return None

    def view_record(self, record: Molecule | str, rng: np.random.Generator) -> Sequence:
        """A random SMILES of the molecule: another first atom, other branches first (Arus-Pous et al. 2019)."""
        molecule = self.canonical(record)
        return self._sequence(molecule, random_smiles(molecule.smiles, rng)[0])

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """A random SMILES of as many tokens, with `random_view`; the same arrays for what is not one whole molecule."""
        tokens = arrays["tokens"]
        spelling = (tokens >= len(SPECIALS)) & (tokens < self._end)
        begin = int(spelling.argmax()) if len(tokens) else 0
        if not self.config.random_view or len(arrays) > 1 or not spelling[begin:].all():
            return arrays
        try:
            for smiles in random_smiles(self.spell(tokens[begin:], ""), rng, READINGS):
                ids = self.cut(smiles, "")
                if len(ids) == len(tokens) - begin:
                    return {"tokens": np.concatenate([tokens[:begin], ids.astype(tokens.dtype)])}
        except RecordError:
            pass  # a part of a molecule, or a reading that needs a symbol that training has not
        return arrays

    def prefix(self, asked: Mapping[str, float]) -> Sequence:
        """What a sample starts with that is asked for values of conditions; what is not asked for may be any.

        Raises ConfigError for a property that is none of the conditions.
        """
        return Sequence({"tokens": self._ids(prefix_symbols(self.conditions, asked))})

    def prompts(
        self, n: int, smiles: str = "", asked: Mapping[str, float] | None = None, *, seed: int = 0
    ) -> list[Sequence]:
        """What each of `n` samples starts with: as `prompt`, but what is not asked for is drawn.

        Conditions are drawn together, as those of a training molecule that has what is asked for; where there is none,
        they are left open. Raises as `prompt`.
        """
        if not self.conditions:
            return [self.prompt(smiles)] * n
        rows = drawn_symbols(self.conditions, self.config.seen or (), asked or {}, n, seed)
        spelled = self.cut(smiles, "prompt")
        tokens = [np.concatenate([self._ids(row), spelled]).astype(self.vocabulary.dtype) for row in rows]
        return [Sequence({"tokens": row}) for row in tokens]

    def prompt(self, smiles: str = "", asked: Mapping[str, float] | None = None) -> Sequence:
        """What a sample starts with: the conditions asked for, then the beginning of a SMILES (a scaffold), as written.

        Raises ConfigError for an unknown condition, RecordError for what is no part of a SMILES.
        """
        before = self.prefix(asked or {}).arrays["tokens"]
        return Sequence({"tokens": np.concatenate([before, self.cut(smiles, "prompt")]).astype(before.dtype)})

    @cached_property
    def _written(self) -> list[str]:
        """By id what is written; nothing for specials, conditions and extensions."""
        before = [""] * len(SPECIALS)
        return [*before, *self.texts(), *[""] * (len(self.vocabulary) - self._end)]

    @cached_property
    def _flat(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """All texts in one row, where each id's begins and how long it is (V,); PAD's is a line end."""
        written = ["\n", *self._written[1:]]
        sizes = np.array([len(text) for text in written], np.int64)
        return np.frombuffer("".join(written).encode("ascii"), np.uint8), np.cumsum(sizes) - sizes, sizes

    @cached_property
    def _end(self) -> int:
        """The first id that spells nothing."""
        return len(SPECIALS) + len(self.symbols())

    @cached_property
    def _atoms(self) -> NDArray[np.float64]:
        atoms = np.zeros(len(self.vocabulary))
        atoms[len(SPECIALS) : self._end] = self.symbol_atoms()
        return atoms

    def _ids(self, symbols: Iterable[str]) -> Array:
        return self.vocabulary.encode(symbols).astype(self.vocabulary.dtype)

    def _sequence(self, molecule: Molecule, smiles: str) -> Sequence:
        tokens = self.cut(smiles, molecule.id).astype(self.vocabulary.dtype, copy=False)
        if not self.conditions:
            return Sequence({"tokens": tokens}, molecule.id)
        told = {
            name: self._value(molecule, name) for name in self.config.conditions if not hidden(name, molecule.smiles)
        }
        before = self.prefix(told).arrays["tokens"]
        counted = np.ones(len(before) + len(tokens), bool)
        counted[: len(before)] = False
        return Sequence({"tokens": np.concatenate([before, tokens])}, molecule.id, loss_mask={"tokens": counted})

    def _value(self, molecule: Molecule, name: str) -> float:
        """A property of a molecule: its label, else computed.

        Raises RecordError where it is neither a number nor a property that can be computed.
        """
        value = molecule.labels.get(name)
        if value is None:
            if name not in PROPERTIES:
                return float("nan")
            return property_of(parse(molecule.smiles, molecule.id), name)
        try:
            return float(value)
        except (TypeError, ValueError):
            message = f"molecule '{molecule.id}': label '{name}' is {value!r}, a condition needs a number"
            raise RecordError("bad_label", message, record=molecule.id) from None


def random_smiles(smiles: str, rng: np.random.Generator, n: int = 1) -> list[str]:
    """Some of the many SMILES of a molecule, a function of the generator alone."""
    from rdkit import Chem

    seed = int(rng.integers(1, 2**31 - 1))
    return list(Chem.MolToRandomSmilesVect(parse(smiles), n, randomSeed=seed))
