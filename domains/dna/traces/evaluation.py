"""How often whole strands come out right, and how far off the others are, by number of reads; POA and a vote beside it.

`success_rate` is the share of strands without any error, `levenshtein_ratio` the distance over L; `_n3` is of the
clusters with three reads. The first rows are under the grammar with exactly L bases; what the model does without it,
and with several orders of the reads, stands in rows of its own with the paired difference to `one_order`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from core.config_keys import from_keys
from core.durable import resources_named, write_bytes_durably
from core.errors import InputError
from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import EvaluationOptions, Limits, add_training, spans_of
from core.report.gallery import Gallery
from core.store import TokenStore
from domains.dna.traces.cluster import Cluster
from domains.dna.traces.consensus import has_poa, majority, poa
from domains.dna.traces.distance import levenshtein
from domains.dna.traces.reconstruction import Reconstruction, Reconstructor, reconstruct
from domains.dna.traces.tokenizer import TraceTokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_ORDER = "one_order"
"""The model under the grammar with the reads in their own order: what the variants are compared with."""
UNIFORM_BITS = 2.0
"""Of a base of a uniform strand for who has not seen the reads."""


@dataclass(frozen=True)
class TraceEvaluationConfig(EvaluationOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {"clusters": 0, "orders": 1, "length": 0}

    clusters: int = 1000
    """Clusters of the split that are reconstructed, from its start. 0: all."""
    orders: int = 4
    """Orders of the reads that are asked together, in rows of their own; 1 leaves them out."""
    length: int = 0
    """Bases of a strand, of clusters whose strands are not known: all are reconstructed, and nothing is judged."""
    free: bool = True
    """Whether strands are drawn without the grammar as well."""


@dataclass(frozen=True)
class Judged:
    """The strands of one method beside the truths."""

    strands: list[str]
    distances: NDArray[np.int64]
    """(n,) Levenshtein distance to the truth."""

    @property
    def perfect(self) -> NDArray[np.bool_]:
        return np.asarray(self.distances == 0)


def evaluate_traces(
    engine: Reconstructor,
    store: TokenStore,
    tokenizer: TraceTokenizer,
    *,
    out: Path | str,
    split: str = "test",
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Reconstructs one split of a store of clusters and writes table, figures and strands (FASTQ) to the folder `out`.

    Args:
        engine: core.engine.Engine, or anything that scores and samples like it.
        training: facts of the training run; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see TraceEvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split is empty, a cluster of it has no truth, or the truths differ in length.
    """
    config = from_keys(TraceEvaluationConfig, options, "evaluation")
    limit = None if config.length else config.clusters or None  # what is not known is wanted whole
    rows = spans_of(store, split)[:limit, 0].tolist()
    clusters = [tokenizer.decode(store[row]) for row in rows]
    if config.length:
        return _unjudged(engine, tokenizer, clusters, config, out, config.label(store, split), say)
    length = one_length(clusters)
    truths = [c.truth or "" for c in clusters]
    sizes = np.array([len(c.reads) for c in clusters])
    label = config.label(store, split)
    table = MetricTable()

    say(f"reconstructing {len(clusters):,} strands of {length} bases")
    plain = reconstruct(engine, tokenizer, clusters, length, seed=config.seed)
    methods = {MODEL: judge([r.strand for r in plain], truths)}
    if has_poa():
        say("partial order alignment")
        methods["poa"] = judge(poa(clusters), truths)
    else:
        say("pyspoa is not installed: no rows of poa (pip install 'foretell[bio]')")
    methods["majority"] = judge(majority(clusters, length), truths)
    measured = config.measuring(label)
    _add(table, methods, sizes, length, measured)

    variants: dict[str, Judged] = {}
    if config.free:
        say("without the grammar")
        free = reconstruct(engine, tokenizer, clusters, length, grammar=False, seed=config.seed)
        variants["without_grammar"] = judge([r.strand for r in free], truths)
    if config.orders > 1:
        say(f"{config.orders} orders of the reads")
        several = reconstruct(engine, tokenizer, clusters, length, orders=config.orders, seed=config.seed)
        variants[f"orders_{config.orders}"] = judge([r.strand for r in several], truths)
    for name, found in variants.items():
        pair = {MODEL: found, ONE_ORDER: methods[MODEL]}
        for metric, values in (("success_rate", _perfect), ("levenshtein_ratio", _ratio(length))):
            table.measure(f"{metric}_{name}", {m: values(j) for m, j in pair.items()}, **measured)

    nats = np.array([s.nll for s in engine.score((tokenizer.encode(c) for c in clusters), mode="records")])
    bits = {MODEL: nats / math.log(2), "uniform": np.full(len(nats), UNIFORM_BITS * length)}
    weights = np.full(len(nats), float(length))
    table.measure("bits_per_base", {m: Totals(b, weights) for m, b in bits.items()}, **measured)
    add_training(table, training, label)

    table.write(out, title=f"DNA: trace reconstruction, {label}")
    write_fastq(Path(out) / "reconstructions.fastq", plain)
    if config.figures:
        say("drawing figures")
        _draw(Gallery(out), methods | _shown(variants), truths, sizes, plain, label)
    return table


def _unjudged(
    engine: Reconstructor,
    tokenizer: TraceTokenizer,
    clusters: list[Cluster],
    config: TraceEvaluationConfig,
    out: Path | str,
    label: str,
    say: Callable[[str], None],
) -> MetricTable:
    """Writes the strands of clusters, and how many errors the model expects in one; raises as `evaluate_traces`."""
    if any(cluster.truth is not None for cluster in clusters):
        raise InputError("evaluation.length says what the strands of these clusters say: they are known")
    say(f"reconstructing {len(clusters):,} strands of {config.length} bases; none is known, so nothing is judged")
    found = reconstruct(engine, tokenizer, clusters, config.length, orders=config.orders, seed=config.seed)
    expected = np.array([float(np.sum(1 - np.asarray(f.confidence))) for f in found])
    table = MetricTable()
    table.measure("expected_errors", {MODEL: Totals(expected, np.ones(len(expected)))}, **config.measuring(label))
    table.write(out, title=f"DNA: strands of reads, {label}")
    write_fastq(Path(out) / "reconstructions.fastq", found)
    return table


def judge(strands: list[str], truths: list[str]) -> Judged:
    """Strands with their distances to the truths."""
    return Judged(strands, levenshtein(strands, truths))


def one_length(clusters: list[Cluster]) -> int:
    """L of clusters that all have a truth of it. Raises InputError where one has none, or they differ in length."""
    for cluster in clusters:
        if cluster.truth is None:
            raise InputError(
                f"cluster '{cluster.id}' has no truth to be compared with",
                hint="Prepare it with data.truths=ground_truth.txt, or reconstruct: evaluation.length=BASES.",
            )
    lengths = {len(c.truth or "") for c in clusters}
    if len(lengths) != 1:
        raise InputError(
            f"strands of {min(lengths)} to {max(lengths)} bases, expected one length",
            hint="Evaluate strands of one length at a time.",
        )
    return lengths.pop()


def confidence_against_truth(
    found: list[Reconstruction], truths: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n, L) confidence of each base, and whether it is the truth's base at that place, for strands of exactly L bases.

    Behind a missed or an extra base all that follows counts as wrong, so that is what the model is asked to know:
    each base given those before it.
    """
    same = [(f, t) for f, t in zip(found, truths, strict=True) if len(f.strand) == len(t)]
    confidence = np.array([f.confidence for f, _ in same])
    right = np.array([[a == b for a, b in zip(f.strand, t, strict=True)] for f, t in same])
    return confidence, right


def write_fastq(path: Path, found: list[Reconstruction]) -> None:
    """The strands with their bases' confidence as qualities. Raises ResourceError where it cannot be written."""
    text = "".join(f"@{f.id} nats={f.nats:.6g} reads={f.reads_used}\n{f.strand}\n+\n{f.phred}\n" for f in found)
    with resources_named(path):
        write_bytes_durably(path, text.encode("ascii"))


def _perfect(judged: Judged) -> Totals:
    return Totals(judged.perfect.astype(np.float64), np.ones(len(judged.distances)))


def _ratio(length: int) -> Callable[[Judged], Totals]:
    return lambda judged: Totals(judged.distances / length, np.ones(len(judged.distances)))


def _add(
    table: MetricTable, methods: dict[str, Judged], sizes: NDArray[np.int64], length: int, measured: dict[str, Any]
) -> None:
    for metric, values in (("success_rate", _perfect), ("levenshtein_ratio", _ratio(length))):
        table.measure(metric, {name: values(judged) for name, judged in methods.items()}, **measured)
    for n in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == n)
        parts = {name: Judged([j.strands[i] for i in chosen], j.distances[chosen]) for name, j in methods.items()}
        for metric, values in (("success_rate", _perfect), ("levenshtein_ratio", _ratio(length))):
            table.measure(f"{metric}_n{n}", {name: values(judged) for name, judged in parts.items()}, **measured)


def _shown(variants: dict[str, Judged]) -> dict[str, Judged]:
    """The variant with several orders, as the legend says it."""
    pairs = ((name.partition("orders_")[2], judged) for name, judged in variants.items())
    return {f"{MODEL}, {orders} orders": judged for orders, judged in pairs if orders}


def _draw(
    gallery: Gallery,
    methods: dict[str, Judged],
    truths: list[str],
    sizes: NDArray[np.int64],
    plain: list[Reconstruction],
    label: str,
) -> None:
    from domains.dna.traces import figures

    counts = {n: int((sizes == n).sum()) for n in np.unique(sizes).tolist()}
    success = {name: {n: int(j.perfect[sizes == n].sum()) for n in counts} for name, j in methods.items()}
    gallery.add(
        _figure(figures.success_by_reads(success, counts)),
        "success_by_reads",
        alt="Share of strands without an error over the number of reads, for the model and the baselines.",
        caption=f"Strands without any error by number of reads, {label}; bars are Wilson 95 % intervals.",
    )
    profiles = {name: figures.error_profile(j.strands, truths) for name, j in methods.items() if "," not in name}
    gallery.add(
        _figure(figures.errors_by_position(profiles)),
        "errors_by_position",
        alt="Share of wrong bases at each place of the strand, for the model and the baselines.",
        caption="Bases that differ from the truth at their place; behind a missed base all that follows is shifted.",
    )
    confidence, right = confidence_against_truth(plain, truths)
    if len(confidence):
        gallery.add(
            _figure(figures.calibration(*up_to_first_error(confidence, right))),
            "calibration",
            alt="How often a base is right over the probability that the model gave it.",
            caption="Bases up to the first wrong one of each strand: how sure the model was against what was right.",
        )
    gallery.write()


def _figure(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)


def up_to_first_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(m,) confidence and rightness of bases before which all were right: there both speak of the same question."""
    before: NDArray[np.bool_] = np.cumsum(~right, axis=1) - ~right == 0
    return confidence[before], right[before]
