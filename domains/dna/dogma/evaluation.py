"""How often a whole protein is read off its codons without an error, by length; and each residue, and its likelihood.

`success_rate` is the share of genes whose every residue is the one of the genetic code, under the grammar that asks for
one residue a codon; `_free` is without it, where the model ends the protein itself. The sceptic's baseline answers each
codon with the residue that training has most often. It knows where codons lie and reaches 1 where all codons were seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from core.config_keys import from_keys
from core.errors import InputError
from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import EvaluationOptions, Limits, add_training
from core.report.gallery import Gallery
from core.store import TokenStore
from domains.dna.dogma.gene import RESIDUES, Gene
from domains.dna.dogma.tokenizer import DogmaTokenizer
from domains.dna.greedy import Reader, continued

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKUP = "codon_table"
_TRAINING = 20_000
"""Genes that the table of codons is counted on."""


@dataclass(frozen=True)
class DogmaEvaluationConfig(EvaluationOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"genes": 0, "max_codons": 0}

    genes: int = 1000
    """Genes of the split that are translated, from its start. 0: all."""
    max_codons: int = 0
    """Longer genes are left out of the exact matches; 0: none is."""
    free: bool = True
    """Whether proteins are drawn without the grammar as well."""


def evaluate_dogma(
    engine: Reader,
    store: TokenStore,
    tokenizer: DogmaTokenizer,
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Translates one split of a store of genes and writes table, figure and proteins (FASTA) to the folder `out`.

    Args:
        engine: core.engine.Engine, or anything that scores and samples like it.
        training: facts of the training run; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see DogmaEvaluationConfig.

    Raises ConfigError for an unknown option or value, InputError where the split holds no gene with a protein.
    """
    config = from_keys(DogmaEvaluationConfig, options, "evaluation")
    genes = [g for g in _genes(store, tokenizer, split, config.genes) if g.protein]
    if config.max_codons:
        genes = [g for g in genes if len(g.cds) <= 3 * config.max_codons]
    if not genes:
        raise InputError(f"{store.path}: its {split} split has no gene with a protein to be compared with")
    truths = [g.protein or "" for g in genes]
    label = config.label(store, split)
    measured = config.measuring(label)
    table = MetricTable()
    say(f"translating {len(genes):,} stretches of up to {max(map(len, truths))} codons")
    proteins = {MODEL: translate_genes(engine, tokenizer, genes)}
    proteins[LOOKUP] = _looked_up(genes, _genes(store, tokenizer, "train", _TRAINING))
    table.measure("success_rate", {name: _exact(found, truths) for name, found in proteins.items()}, **measured)
    table.measure("accuracy", {name: _right(found, truths) for name, found in proteins.items()}, **measured)
    if config.free:
        say("without the grammar")
        free = translate_genes(engine, tokenizer, genes, grammar=False)
        table.measure("success_rate_free", {MODEL: _exact(free, truths)}, **measured)
    nats = np.array([s.nll for s in engine.score((tokenizer.encode(g) for g in genes), mode="records")])
    weights = np.array(list(map(len, truths)), dtype=np.float64)
    bits = {MODEL: nats / math.log(2), "uniform": weights * math.log2(len(RESIDUES))}
    table.measure("bits_per_residue", {name: Totals(values, weights) for name, values in bits.items()}, **measured)
    add_training(table, training, label)
    table.write(out, title=f"DNA: central dogma, {label}")
    if config.figures:
        from domains.dna.dogma import figures

        gallery = Gallery(out)
        exact = {name: _exact(found, truths).sums for name, found in proteins.items()}
        axes = figures.exact_by_length(exact, np.array(list(map(len, truths))))
        gallery.add(
            cast("Figure", axes.figure),
            "exact_match_by_length",
            alt="Share of proteins without an error over the number of codons, for the model and the codon table.",
            caption=f"Proteins read off their codons without any error, by length, {label}.",
        )
        gallery.write()
    return table


def translate_genes(engine: Reader, tokenizer: DogmaTokenizer, genes: Many[Gene], *, grammar: bool = True) -> list[str]:
    """The most probable protein of each gene, residue by residue (greedy).

    Args:
        grammar: exactly one residue a codon; False lets the model end the protein itself, a residue too late at most.
    """
    prefixes = [tokenizer.encode(Gene(g.id, g.cds)) for g in genes]
    room = [len(g.cds) // 3 + (not grammar) for g in genes]
    drawn = continued(engine, prefixes, room, grammar=tokenizer.grammar() if grammar else None)
    return ["".join(tokenizer.vocabulary.decode(tokens)) for tokens in drawn]


def _genes(store: TokenStore, tokenizer: DogmaTokenizer, split: str, most: int) -> list[Gene]:
    return [tokenizer.decode(store[row]) for row in store.spans(split)[: most or None, 0].tolist()]


def _looked_up(genes: list[Gene], training: list[Gene]) -> list[str]:
    counts: dict[str, Counter[str]] = {}
    for gene in training:
        for i, residue in enumerate(gene.protein or ""):
            counts.setdefault(gene.cds[3 * i : 3 * i + 3], Counter())[residue] += 1
    best = {codon: found.most_common(1)[0][0] for codon, found in counts.items()}
    return ["".join(best.get(g.cds[i : i + 3], RESIDUES[0]) for i in range(0, len(g.cds), 3)) for g in genes]


def _exact(found: list[str], truths: list[str]) -> Totals:
    return Totals(np.array([float(a == b) for a, b in zip(found, truths, strict=True)]), np.ones(len(truths)))


def _right(found: list[str], truths: list[str]) -> Totals:
    right = [sum(a == b for a, b in zip(mine, truth, strict=False)) for mine, truth in zip(found, truths, strict=True)]
    return Totals(np.array(right, dtype=np.float64), np.array(list(map(len, truths)), dtype=np.float64))
