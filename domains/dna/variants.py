"""How much likelier a model finds a variant than the reference: log p(alt) - log p(ref), summed over one window.

The zero-shot score of language models of the genome: how much less likely the window is with the variant in it.
An insertion or deletion changes the number of terms: its two sums are over different lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, cast

from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from core.errors import ConfigError
from domains.formats.seq_record import letters_of, make_record, name_of
from domains.formats.vcf import Variant, VariantPair

STRANDS = ("forward", "both")
_PAIRS = 256
"""Pairs scored together: some 500,000 bases of windows at the usual flank."""


class Scorer(Protocol):
    """What is asked of a model: `foretell.Model` is one."""

    def score(self, records: Iterable[Any]) -> list[Any]:
        """One item a record, whose `nats` is its summed negative log likelihood."""
        ...


@dataclass(frozen=True)
class Comparison:
    """One variant's score; likelihoods in nats over the window, the mean of both strands where both were read."""

    variant: Variant
    nll_ref: float
    nll_alt: float

    @property
    def llr(self) -> float:
        """log p(alt) - log p(ref) in nats: below 0 where the reference is the likelier."""
        return self.nll_ref - self.nll_alt


def compare(model: Scorer, pairs: Iterable[VariantPair], *, strands: str = "forward") -> Iterator[Comparison]:
    """One Comparison a pair, in order; pairs are read as they are needed.

    Args:
        strands: "forward" reads windows as the genome file has them; "both" takes the mean with the reverse complement.

    Raises:
        ConfigError: `strands` is none of these.
        RecordError: a window has a letter that the model's tokenizer refuses.
    """
    if strands not in STRANDS:
        raise ConfigError(f"strands: got {strands!r}, allowed: {', '.join(STRANDS)}")
    stream = iter(pairs)
    while some := list(islice(stream, _PAIRS)):
        records = [record for pair in some for record in (pair.reference, pair.alternative)]
        nats = [found.nats for found in model.score(records)]
        if strands == "both":
            turned = [found.nats for found in model.score([_turned(record) for record in records])]
            nats = [(a + b) / 2 for a, b in zip(nats, turned, strict=True)]
        for i, pair in enumerate(some):
            yield Comparison(pair.variant, nats[2 * i], nats[2 * i + 1])


def _turned(record: SeqRecord) -> SeqRecord:
    letters = bytes(cast(Any, Seq(letters_of(record))).reverse_complement())
    return make_record(letters, name_of(record), record.description or "")
