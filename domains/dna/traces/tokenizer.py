"""`read1|read2|...:truth` as tokens, a symbol a base; only the truth is predicted (TReconLM, arXiv 2507.12927).

The loss mask is True on the truth's bases; EOS behind them counts as in every record: it says where the strand ends.
A view is the same cluster with its reads in another order: the augmentation of the paper, of the same length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.errors import ConfigError, RecordError
from core.sequence import Array, Sequence, Symbols, TokenSpec
from core.vocabulary import SPECIALS, Vocabulary
from domains.dna.traces import cluster as letters
from domains.dna.traces.cluster import BASES, Cluster
from domains.dna.traces.grammar import TraceGrammar

BAR, COLON = "|", ":"
SYMBOLS = (*BASES, "-", BAR, COLON, "#")
"""The paper's alphabet, in its order; `-` (a gap) and `#` stand in no record."""


@dataclass(frozen=True)
class TraceTokenizerConfig:
    """What the tokenizer can be told."""

    permute_reads: bool = True
    """Whether a view has its reads in another order, as arXiv 2507.12927 trains; False shows the ablation."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`: marks that stand in no record and are left out by decode."""

    def __post_init__(self) -> None:
        if not isinstance(self.permute_reads, bool):
            raise ConfigError(f"permute_reads: got {self.permute_reads!r}, allowed: true, false")
        object.__setattr__(self, "extension", tuple(self.extension))


class TraceTokenizer:
    """Clusters to tokens and back."""

    kind: ClassVar[str] = "dna_traces"
    version: ClassVar[int] = 1
    natural_unit: ClassVar[str] = "base"
    """Of the strand: likelihoods are of the truth given the reads."""

    def __init__(self, config: TraceTokenizerConfig | None = None) -> None:
        self.config = config or TraceTokenizerConfig()

    @property
    def needs_fit(self) -> bool:
        return False

    def fit(self, train_records: Iterable[Cluster]) -> Self:
        """Itself: nothing is learned."""
        return self

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary((*SYMBOLS, *self.config.extension))

    @cached_property
    def spec(self) -> TokenSpec:
        return Symbols(self.vocabulary)

    @cached_property
    def bar(self) -> int:
        """The id between two reads."""
        return self.vocabulary.ids[BAR]

    @cached_property
    def colon(self) -> int:
        """The id between the reads and the strand."""
        return self.vocabulary.ids[COLON]

    def encode(self, record: Cluster | str) -> Sequence:
        """Labels: `n_reads`, and `length`, the truth's bases (0 where it is not known).

        Args:
            record: a cluster, or its text `read1|read2:` with the truth behind the colon or not.

        Raises RecordError as `cluster.canonical`.
        """
        cluster = self.canonical(record)
        prefix, truth = BAR.join(cluster.reads) + COLON, cluster.truth or ""
        tokens = self._ids[np.frombuffer((prefix + truth).encode("ascii"), np.uint8)]
        predicted = np.zeros(len(tokens), bool)
        predicted[len(prefix) :] = True
        labels = {"n_reads": len(cluster.reads), "length": len(truth)}
        return Sequence({"tokens": tokens}, cluster.id, loss_mask={"tokens": predicted}, labels=labels)

    def decode(self, sequence: Sequence) -> Cluster:
        """Raises RecordError where the tokens are no cluster: no colon or two, an empty read, a special."""
        tokens = sequence.arrays["tokens"]
        kept = tokens[tokens < len(SPECIALS) + len(SYMBOLS)]
        text = self._spelling[kept].tobytes().decode("ascii")
        reads, colon, truth = text.partition(COLON)
        if not colon or "?" in text or set(truth) & {BAR, COLON}:
            raise RecordError(
                "no_cluster",
                f"sequence '{sequence.id}': expected reads, one colon and bases, got '{text[:60]}'",
                record=sequence.id,
                hint="Give the reads, prefix='ACGT|ACG:': a model of clusters is not trained to make up reads.",
            )
        return letters.canonical(Cluster(sequence.id, tuple(reads.split(BAR)), truth or None))

    def canonical(self, record: Cluster | str) -> Cluster:
        """Upper case; id, reads in their order and truth are kept."""
        if isinstance(record, str):
            reads, _, truth = record.partition(COLON)
            record = Cluster("", tuple(reads.split(BAR)), truth or None)
        return letters.canonical(record)

    def same(self, a: Cluster, b: Cluster) -> bool:
        """Whether ids, reads with their order, and truths are equal."""
        return (a.id, a.reads, a.truth) == (b.id, b.reads, b.truth)

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """1 for every base of the truth; reads are context and count nothing."""
        tokens = arrays["tokens"]
        behind = np.cumsum(tokens == self.colon) > 0
        return (behind & self._is_base[tokens]).astype(np.float64)

    def extend(self, symbols: Iterable[str]) -> Self:
        return type(self)(replace(self.config, extension=(*self.config.extension, *symbols)))

    def grammar(self, length: int | None = None, **limits: Any) -> TraceGrammar:
        """The automaton of clusters with a truth of `length` bases, or of any number from 1."""
        bases = [self.vocabulary.ids[b] for b in BASES]
        return TraceGrammar(bases, self.bar, self.colon, len(self.vocabulary), length)

    def view_record(self, record: Cluster, rng: np.random.Generator) -> Sequence:
        """The reads in another order."""
        sequence = self.encode(record)
        sequence.arrays = self.view_window(sequence.arrays, rng)
        return sequence

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """The reads in another order; the same arrays for a window that is not one whole cluster.

        The colon stays where it is, so masks keep their meaning.
        """
        tokens = arrays["tokens"]
        colons = np.flatnonzero(tokens == self.colon)
        if not self.config.permute_reads or len(colons) != 1:
            return arrays
        reads = tokens[: colons[0]]
        ends = [*np.flatnonzero(reads == self.bar).tolist(), len(reads)]
        starts = [0, *(end + 1 for end in ends[:-1])]
        pieces = [reads[starts[i] : ends[i]] for i in rng.permutation(len(ends))]
        bar = np.array([self.bar], tokens.dtype)
        joined = [part for piece in pieces for part in (piece, bar)][:-1]
        return {**arrays, "tokens": np.concatenate([*joined, tokens[colons[0] :]])}

    def to_config(self) -> dict[str, Any]:
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self.config).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raises ConfigError for an unknown key, with the nearest one, and for a value that is not allowed."""
        return cls(from_keys(TraceTokenizerConfig, config, f"tokenizer {cls.kind}"))

    @cached_property
    def _ids(self) -> Array:
        """(256,) ASCII to ids."""
        table = np.zeros(256, self.vocabulary.dtype)
        for symbol in SYMBOLS:
            table[ord(symbol)] = self.vocabulary.ids[symbol]
        return table

    @cached_property
    def _spelling(self) -> NDArray[np.uint8]:
        """Ids to ASCII, `?` for the specials."""
        return np.frombuffer(("?" * len(SPECIALS) + "".join(SYMBOLS)).encode("ascii"), np.uint8)

    @cached_property
    def _is_base(self) -> NDArray[np.bool_]:
        table = np.zeros(len(self.vocabulary), bool)
        table[[self.vocabulary.ids[b] for b in BASES]] = True
        return table
