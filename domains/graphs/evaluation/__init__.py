"""How good a model of graphs is: V.U.N. over all samples, MMD beside train and random graphs, nats per edge.

    table = evaluate(engine, store, tokenizer, out="evaluation")

Writes `metrics.json`, `table.md`, `per_sample.csv` and the figures. Samples are drawn without the grammar; rows whose
name ends in `_grammar` are of samples drawn with it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from core.config_keys import from_keys
from core.durable import resources_named, write_bytes_durably
from core.errors import ConfigError, nearest
from core.evaluation import MODEL, MetricTable, Totals
from core.evaluation_options import Limits, SamplingOptions, add_drawing, add_training, spans_of
from core.report.gallery import Gallery
from core.store import TokenStore
from domains import DOMAINS
from domains.graphs.evaluation.distances import DESCRIPTORS, KERNELS, can_count_orbits, described, squared_mmd
from domains.graphs.evaluation.drawing import draw
from domains.graphs.evaluation.likelihood import measure_likelihood
from domains.graphs.evaluation.samples import (
    ER,
    Counts,
    Drawn,
    Scorer,
    add_counts,
    count,
    draw_graphs,
    graphs_of,
    random_graphs,
)
from domains.graphs.graph import Graph
from domains.graphs.isomorphism import LIMIT, KnownGraphs
from domains.graphs.tokenizer.shared import GraphTokenizer, WalkConfig
from domains.graphs.validity import CHECKS

__all__ = ["EvaluationConfig", "evaluate"]

TRAIN, TEST = "train", "test"
_ROOM = 1.25
"""Samples may have so many times the tokens of the longest training graph; what is longer is cut off and no graph."""


@dataclass(frozen=True)
class EvaluationConfig(SamplingOptions):
    """What is measured, and how much of it."""

    LIMITS: ClassVar[Limits] = {
        "samples": (1, None),
        "grammar_samples": (0, None),
        "max_graphs": (0, None),
        "walks": (0, None),
        "limit": (1, None),
    }

    family: str = "auto"
    """What a valid graph is: planar, tree, lobster, sbm, community_small, grid, molecule, or `connected`; `auto`: the
    family that the store was made of, else `connected`."""
    samples: int = 256
    """Graphs that are drawn without the grammar; a share to about 0.03. The benchmark's papers draw 40."""
    grammar_samples: int = 64
    """Graphs that are drawn with it; 0 leaves them out."""
    max_graphs: int = 256
    """Graphs of the split that are scored and compared with, evenly drawn. 0: all."""
    walks: int = 8
    """Readings of each graph that likelihoods are averaged over; 0 leaves likelihoods out."""
    kernel: str = "tv"
    """Of MMD: `tv` as SPECTRE and DiGress, `emd` as GraphRNN."""
    limit: int = LIMIT
    """Refinements before a pair of graphs counts as undecided."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel not in KERNELS:
            raise ConfigError(f"evaluation.kernel: got {self.kernel!r}, allowed: {', '.join(KERNELS)}")
        if self.family not in ("auto", *CHECKS):
            close = nearest(self.family, CHECKS)
            raise ConfigError(
                f"evaluation.family: got {self.family!r}{close}", hint=f"Known: auto, {', '.join(CHECKS)}."
            )


@dataclass(frozen=True)
class Sets:
    """The graphs that are compared."""

    train: list[Graph]
    test: list[Graph]
    drawn: list[Graph | None]
    random: list[Graph]

    @property
    def parsed(self) -> list[Graph]:
        return [graph for graph in self.drawn if graph is not None]


def evaluate(
    engine: Scorer,
    store: TokenStore,
    tokenizer: Any,
    *,
    out: Path | str,
    split: str = TEST,
    training: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> MetricTable:
    """Measures a model on one split of a store and writes everything to the folder `out`.

    Args:
        engine: core.engine.Engine, or anything that scores and samples like it.
        tokenizer: of the store.
        split: train, validation or test; new graphs are always those that train does not have.
        training: facts of the training run that stand beside the numbers; `seconds` and `seed` are used.
        say: called with one line at the start of each part of the work.
        options: see EvaluationConfig.

    Raises:
        ConfigError: an unknown option, or a value that is not allowed.
        InputError: the split holds no graph, or there is none to train on.
    """
    config = from_keys(EvaluationConfig, options, "evaluation")
    spans, train_spans = spans_of(store, split), spans_of(store, TRAIN)
    label = config.label(store, split)
    family = config.family if config.family != "auto" else str(store.source.get("family", "connected"))
    table = MetricTable()

    say("reading training graphs")
    train = graphs_of(store, tokenizer, train_spans)
    known = KnownGraphs(train, config.limit)
    length = max(2, int(_ROOM * int((train_spans[:, 2] - train_spans[:, 1]).max())))
    say(f"drawing {config.samples} graphs of up to {length} tokens{config.said()}")
    drawn = draw_graphs(engine, tokenizer, config.samples, length, config.seed, config.drawing)
    test, random = (
        graphs_of(store, tokenizer, spans, config.max_graphs),
        random_graphs(train, config.samples, config.seed),
    )
    sets = Sets(train, test, drawn.graphs, random)
    check = CHECKS[family]
    counts = count(sets.drawn, known, check)
    add_counts(
        table, counts, count(sets.random, known, check), label=label, seed=config.seed, resamples=config.resamples
    )
    table.add("valid_all", float(np.mean([check(g) for g in sets.test])), split=label, model=TEST, n=len(sets.test))
    table.add("seconds_a_sample", drawn.seconds / config.samples, split=label, n=config.samples)
    if config.grammar_samples:
        say(f"drawing {config.grammar_samples} graphs under the grammar")
        _add_grammar(table, engine, tokenizer, known, check, length, label, config)
    say("comparing degrees, clustering, orbits and spectra")
    _add_distances(table, sets, label, config, say)
    if config.walks:
        say(f"scoring {config.walks} walks of {len(sets.test)} graphs")
        _add_likelihood(table, engine, store, tokenizer, spans, train, label, config)
    lengths = walk_lengths(tokenizer, sets.test)
    for kind, found in lengths.items():
        totals = Totals(found, np.ones(len(found)))
        table.measure("tokens_a_graph", {kind: totals}, split=label, seed=config.seed, resamples=config.resamples)
    add_drawing(table, config, label)
    add_training(table, training, label)
    table.write(out, title=f"Graphs: {label}")
    _write_samples(Path(out) / "per_sample.csv", drawn, counts)
    if config.figures:
        say("drawing figures")
        gallery = Gallery(out)
        draw(
            gallery, table, label=label, test=sets.test, drawn=sets.drawn, random=sets.random, counts=counts,
            lengths=lengths,
        )  # fmt: skip
        gallery.write()
    return table


def _add_grammar(
    table: MetricTable,
    engine: Scorer,
    tokenizer: GraphTokenizer[Any],
    known: KnownGraphs,
    check: Callable[[Graph], bool],
    length: int,
    label: str,
    config: EvaluationConfig,
) -> None:
    masked = draw_graphs(engine, tokenizer, config.grammar_samples, length, config.seed, config.drawing, grammar=True)
    counts = count(masked.graphs, known, check)
    for name, values in (("vun_grammar", counts.vun), ("valid_parse_share_grammar", counts.parsed)):
        totals = Totals(values.astype(np.float64), np.ones(len(values)))
        table.measure(name, {MODEL: totals}, split=label, seed=config.seed, resamples=config.resamples)
    table.add("masked_probability_mean", masked.masked_mass, split=label, n=config.grammar_samples)


def _add_distances(
    table: MetricTable, sets: Sets, label: str, config: EvaluationConfig, say: Callable[[str], None]
) -> None:
    """Samples, training graphs and random graphs, as many of each, against those of the split."""
    many = min(len(sets.parsed), len(sets.train)) or len(sets.train)
    places = np.linspace(0, len(sets.train) - 1, min(many, len(sets.train))).round().astype(np.int64)
    rivals = {
        MODEL: sets.parsed[:many],
        TRAIN: [sets.train[i] for i in places.tolist()],
        ER: sets.random[:many],
    }
    for name, descriptor in DESCRIPTORS.items():
        if name == "orbits" and not can_count_orbits():
            say("orbits are left out: they need orca-graphlets (pip install 'foretell[chem]')")
            continue
        theirs = described(descriptor, sets.test)
        for model, graphs in rivals.items():
            if graphs:
                value, low, high = squared_mmd(descriptor, described(descriptor, graphs), theirs, config.kernel)
                table.add(
                    f"mmd2_{name}_{config.kernel}", value, split=label, model=model, low=low, high=high,
                    n=len(graphs),
                )  # fmt: skip


def _add_likelihood(
    table: MetricTable,
    engine: Scorer,
    store: TokenStore,
    tokenizer: GraphTokenizer[Any],
    spans: Any,
    train: list[Graph],
    label: str,
    config: EvaluationConfig,
) -> None:
    rows = spans[:, 0]
    if config.max_graphs and len(rows) > config.max_graphs:
        rows = rows[np.linspace(0, len(rows) - 1, config.max_graphs).round().astype(np.int64)]
    found = measure_likelihood(engine, store, tokenizer, rows.tolist(), train, walks=config.walks, seed=config.seed)
    options: dict[str, Any] = {"split": label, "seed": config.seed, "resamples": config.resamples}
    if found.edges.any():
        name = f"nats_per_edge_{config.walks}_walks"
        table.measure(name, {MODEL: found.totals(found.averaged), ER: found.totals(found.random)}, **options)
        if config.walks > 1:
            table.measure("nats_per_edge_1_walk", {MODEL: found.totals(found.single)}, **options)
        table.measure("nats_per_edge_of_reading", {MODEL: found.totals(found.reading)}, **options)


def walk_lengths(tokenizer: GraphTokenizer[Any], graphs: list[Graph]) -> dict[str, Any]:
    """Tokens of each graph by the kind of walk, for the walks that can be told what this one was told."""
    found = {}
    shared = {f.name: getattr(tokenizer.config, f.name) for f in fields(WalkConfig) if f.name != "extension"}
    for kind in DOMAINS.get("graphs").tokenizers:
        if shared["multi_edges"] and kind == "graph_euler":
            continue
        other = DOMAINS.get("graphs").make_tokenizer(kind, shared)
        found[kind] = np.array([float(len(other.encode(graph))) for graph in graphs])
    return found


def _write_samples(path: Path, drawn: Drawn, counts: Counts) -> None:
    """Of each sample: nodes, edges, parsed, valid, unique, new."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "nodes", "edges", "parsed", "valid", "unique", "novel"])
    facts = zip(counts.parsed, counts.valid, counts.unique, counts.novel, strict=True)
    for number, (graph, row) in enumerate(zip(drawn.graphs, facts, strict=True), start=1):
        size = ("", "") if graph is None else (graph.n, len(graph.edges))
        writer.writerow([number, *size, *(int(value) for value in row)])
    with resources_named(path):
        write_bytes_durably(path, text.getvalue().encode())
