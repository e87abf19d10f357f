"""`<dna> a t g <protein> M`: a token a base, in lower case, and a token a residue; only residues are predicted.

The loss mask is True on the protein; EOS behind it counts as in every record. Bases and residues share letters (A, C,
G, T), so bases are written small. There is one reading: the other strand codes for something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.config_keys import tokenizer_settings
from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.dna.dogma.gene import BASES, RESIDUES, Gene, canonical
from domains.dna.dogma.grammar import DogmaGrammar

DNA, PROTEIN = "<dna>", "<protein>"
SYMBOLS = (*BASES.lower(), *RESIDUES, DNA, PROTEIN)


@dataclass(frozen=True)
class DogmaTokenizerConfig:
    """What the tokenizer can be told."""

    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`: marks that stand in no record and are left out by decode."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "extension", tuple(self.extension))
        known = [symbol for symbol in self.extension if symbol in SYMBOLS]
        if known:
            raise ConfigError(f"extension: {known[0]!r} is a symbol already")


class DogmaTokenizer:
    """Genes to tokens and back."""

    kind: ClassVar[str] = "dna_dogma"
    version: ClassVar[int] = 1
    natural_unit: ClassVar[str] = "residue"
    """Likelihoods are of the protein given its codons."""

    def __init__(self, config: DogmaTokenizerConfig | None = None) -> None:
        self.config = config or DogmaTokenizerConfig()

    @property
    def needs_fit(self) -> bool:
        return False

    def fit(self, train_records: Iterable[Gene]) -> Self:
        """Itself: nothing is learned."""
        return self

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary((*SYMBOLS, *self.config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    def encode(self, record: Gene | str) -> Sequence:
        """A gene without protein ends with the second mark: what a protein is asked for with.

        Args:
            record: a gene, or its codons as text.

        Raises RecordError as `gene.canonical`.
        """
        gene = self.canonical(record)
        symbols = [DNA, *gene.cds.lower(), PROTEIN, *(gene.protein or "")]
        tokens = np.array([self.vocabulary.ids[s] for s in symbols], self.vocabulary.dtype)
        predicted = np.zeros(len(tokens), bool)
        predicted[len(gene.cds) + 2 :] = True
        labels = {"codons": len(gene.cds) // 3, "made": gene.made}
        return Sequence(
            {"tokens": tokens}, gene.id, loss_mask={"tokens": predicted}, group=gene.group or None, labels=labels
        )

    def decode(self, sequence: Sequence) -> Gene:
        """Raises RecordError where the tokens are no gene: marks elsewhere, specials, another number of residues."""
        tokens = sequence.arrays["tokens"]
        known = tokens[tokens < len(SPECIALS) + len(SYMBOLS)]
        symbols = self.vocabulary.decode(known)
        marks = [i for i, symbol in enumerate(symbols) if symbol in (DNA, PROTEIN)]
        if len(marks) != 2 or marks[0] != 0 or symbols[0] != DNA or (known < len(SPECIALS)).any():
            raise RecordError(
                "no_gene",
                f"sequence '{sequence.id}': expected {DNA} codons {PROTEIN} residues, got '{''.join(symbols)[:50]}'",
                record=sequence.id,
            )
        bases, residues = symbols[1 : marks[1]], symbols[marks[1] + 1 :]
        if not set(bases) <= set(BASES.lower()) or not set(residues) <= set(RESIDUES):
            raise RecordError("no_gene", f"sequence '{sequence.id}': bases and residues are mixed", record=sequence.id)
        made = bool(sequence.labels.get("made", False))
        protein = "".join(residues) or None
        return canonical(Gene(sequence.id, "".join(bases), protein, sequence.group or "", made))

    def canonical(self, record: Gene | str) -> Gene:
        return canonical(Gene("", record) if isinstance(record, str) else record)

    def same(self, a: Gene, b: Gene) -> bool:
        return (a.id, a.cds, a.protein) == (b.id, b.cds, b.protein)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """1 for every residue; bases are context and count nothing."""
        return self._is_residue[arrays["tokens"]].astype(np.float64)

    def extend(self, symbols: Iterable[str]) -> Self:
        return type(self)(replace(self.config, extension=(*self.config.extension, *symbols)))

    def grammar(self, **limits: Any) -> DogmaGrammar:
        """The automaton of whole codons and one residue for each."""
        ids = self.vocabulary.ids
        return DogmaGrammar(
            [ids[b] for b in BASES.lower()], [ids[r] for r in RESIDUES], ids[DNA], ids[PROTEIN], len(self.vocabulary)
        )

    def view_record(self, record: Gene, rng: np.random.Generator) -> Sequence:
        return self.encode(record)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        return arrays

    def to_config(self) -> dict[str, Any]:
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self.config).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ConfigError for an unknown key, with the nearest one, and for a value that is not allowed."""
        return cls(tokenizer_settings(DogmaTokenizerConfig, config, cls.kind))

    @cached_property
    def _is_residue(self) -> NDArray[np.bool_]:
        table = np.zeros(len(self.vocabulary), bool)
        table[[self.vocabulary.ids[r] for r in RESIDUES]] = True
        return table
