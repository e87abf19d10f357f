"""What a model says of recorded episodes, one step ahead: nats in raw units, and how far its actions lie from those
taken.

Nats are of raw values (the log-Jacobian of scaling, or the log width of a bin, is in them), so tokenizers compare.
Errors are of means, or of the likeliest choice, with all that came before known; beside them those of repeating the
last action.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.batching.batch import collate, make_row
from core.engine import Engine
from core.evaluation import Totals
from core.sequence import Sequence
from core.spans import read_spans
from core.store import TokenStore
from core.vocabulary import SPECIALS
from core.window_policy import windows
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import CHOICE, Space, Values
from domains.robots.tokenizer.chunks import ChunksTokenizer
from domains.robots.tokenizer.components import COMPONENT, TOKENS, ComponentsTokenizer
from domains.robots.tokenizer.continuous import OBSERVATION, PAST, ContinuousTokenizer

POINT = "mse"
"""The readout that says no density: there are no nats of it."""


@dataclass
class Said:
    """Of one span of one episode: truth and predictions, NaN where there is none."""

    actions: Values
    """(T, A) taken, or intended where that is what the model predicts."""
    expected: Values
    """(T, A) predicted."""
    observations: Values
    """(T, O) seen."""
    foreseen: Values
    """(T, O) predicted; empty where observations are not predicted."""


@dataclass
class OpenLoop:
    """By span of the split."""

    nats: dict[str, list[float]] = field(default_factory=dict)
    """Sums by modality, in raw units."""
    steps: list[int] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    def totals(self, name: str) -> Totals:
        return Totals(np.array(self.nats[name]), np.array(self.steps, np.float64))


def measure(engine: Engine, store: TokenStore, tokenizer: Any, split: str, most: int) -> OpenLoop:
    """The first `most` spans of a split."""
    found = OpenLoop()
    spans = store.spans(split)[:most]
    scores = engine.score(read_spans(store, spans), mode="windows")
    for (row, start, stop), score in zip(spans.tolist(), scores, strict=True):
        sequence = store[row].slice(start, stop)
        if isinstance(tokenizer, ComponentsTokenizer):
            nats = component_nats(tokenizer, sequence, score.token_nll)
            found.said.append(component_predictions(engine, tokenizer, sequence))
        elif isinstance(tokenizer, ChunksTokenizer):
            nats = {"action": chunk_nats(tokenizer, sequence, score.nll)}
            found.said.append(nothing_said(tokenizer.decode(sequence)))
        else:
            kinds = engine.model.readout_kinds
            nats = vector_nats({name: nll for name, nll in score.field_nll.items() if kinds[name] != POINT})
            found.said.append(predictions(engine, tokenizer, sequence))
        for name, value in nats.items():
            found.nats.setdefault(name, []).append(value)
        found.steps.append(max(1, len(found.said[-1].actions)))
    return found


def vector_nats(by_field: dict[str, float]) -> dict[str, float]:
    """Nats of a span by modality: of the action all its numbers and choices."""
    action = [v for name, v in by_field.items() if name not in (OBSERVATION, PAST)]
    nats = {"action": sum(action)} if action else {}
    if OBSERVATION in by_field:
        nats["observation"] = by_field[OBSERVATION]
    return nats


def component_nats(tokenizer: ComponentsTokenizer, sequence: Sequence, nats: NDArray[np.float32]) -> dict[str, float]:
    """The same of bins: each with the log of its width, so that they are of a density in raw units."""
    component = sequence.arrays[COMPONENT].astype(int) - len(SPECIALS)
    bins = np.clip(sequence.arrays[TOKENS].astype(int) - len(SPECIALS), 0, tokenizer.centres.shape[1] - 1)
    raw = nats[: len(bins)].astype(np.float64) + tokenizer.log_widths[component, bins]
    acts = component >= tokenizer.observed_tokens
    return {"action": float(np.nansum(raw[acts])), "observation": float(np.nansum(raw[~acts]))}


def chunk_nats(tokenizer: ChunksTokenizer, sequence: Sequence, nats: float) -> float:
    """Nats of a span's chunks as of a density of raw actions; where a chunk ends counts as well."""
    return nats + float(tokenizer.units(sequence.arrays).sum()) * tokenizer.log_cell


def nothing_said(episode: Episode) -> Said:
    """Of chunks no single step is predicted: the truth alone."""
    return Said(episode.actions, np.full_like(episode.actions, np.nan), episode.observations[1:], np.zeros((0, 0)))


def component_predictions(engine: Engine, tokenizer: ComponentsTokenizer, sequence: Sequence) -> Said:
    """Means over the bins of each number, choices the likeliest, every token before them known."""
    width, seen = tokenizer.tokens_per_step, tokenizer.observed_tokens
    values = np.full(len(sequence), np.nan)
    for begin, stop, context in windows(len(sequence), engine.policy(), eos=False):
        part = sequence.slice(begin, stop)
        inputs = collate([make_row(part, tokenizer.spec, eos=False)], tokenizer.spec).inputs.to(engine.device)
        with torch.inference_mode():
            hidden, _ = engine.model(inputs)
            logits = engine.model.readings(inputs)[TOKENS].logits(hidden)[0, context:]
        bins = tokenizer.centres.shape[1]
        weights = torch.softmax(logits[:, len(SPECIALS) : len(SPECIALS) + bins].double().cpu(), -1).numpy()
        component = part.arrays[COMPONENT][context:].astype(int) - len(SPECIALS)
        centres = tokenizer.centres[component]
        weights = np.where(np.isnan(centres), 0, weights)
        means = (weights * np.nan_to_num(centres)).sum(1) / weights.sum(1)
        likely = np.take_along_axis(centres, weights.argmax(1)[:, None], 1)[:, 0]
        action = component - seen
        choice = (action >= 0) & tokenizer.is_choice[np.clip(action, 0, None)]
        values[begin + context : stop] = np.where(choice, likely, means)
    episode = tokenizer.decode(sequence)
    steps = len(episode)
    whole = np.full((steps + 1, width), np.nan)
    whole.reshape(-1)[: len(values)] = values[: whole.size]
    foreseen = np.full((steps, tokenizer.config.observations), np.nan)
    foreseen[:, tokenizer.moving] = whole[1:, :seen]
    observations = np.full((steps, tokenizer.config.observations), np.nan)
    after = episode.observations[1:]
    observations[: len(after)] = after
    return Said(episode.actions, tokenizer.action_space.clipped(whole[:steps, seen:]), observations, foreseen)


def predictions(engine: Engine, tokenizer: ContinuousTokenizer, sequence: Sequence) -> Said:
    """Actions and observations one step ahead."""
    space, width = tokenizer.action_space, tokenizer.config.observations
    expected = np.full((len(sequence), space.width), np.nan)
    foreseen = np.full((len(sequence), width if tokenizer.config.predict_observations else 0), np.nan)
    policy = engine.policy()
    for begin, stop, context in windows(len(sequence), policy, eos=False):
        part = sequence.slice(begin, stop)
        inputs = collate([make_row(part, tokenizer.spec, eos=False)], tokenizer.spec).inputs.to(engine.device)
        with torch.inference_mode():
            hidden, _ = engine.model(inputs)
            readings = engine.model.readings(inputs)
            rows = slice(begin + context, stop)
            if tokenizer.numbers:
                mean = readings[tokenizer.predicted].mean(hidden)[0, context:]
                expected[rows, tokenizer.numbers] = mean.double().cpu().numpy()
            for name, column, vocabulary in tokenizer.choices:
                said = readings[tokenizer.predicted_choice(name)].logits(hidden)
                logits = said[0, context:, len(SPECIALS) :]
                expected[rows, column] = logits.argmax(-1).cpu().numpy() + int(vocabulary.symbols[0])
            if tokenizer.config.predict_observations:
                foreseen[rows] = readings[OBSERVATION].mean(hidden)[0, context:].double().cpu().numpy()
    episode = tokenizer.decode(sequence)
    seen = np.full((len(sequence), width), np.nan)
    seen[: len(episode.observations)] = episode.observations
    after = episode.prompt  # demonstrations are not predicted
    parts = episode.wanted, space.clipped(expected[1:]), seen[1:], foreseen[1:]
    return Said(*(values[after:] for values in parts))


def action_errors(said: list[Said], space: Space) -> Iterator[tuple[str, dict[str, Totals]]]:
    """Per column of the action (metric, totals by model): absolute error of a number, accuracy of a choice."""
    names = space.names
    choices = {where.start for part, where in space.columns() if part.kind == CHOICE}
    for column, name in enumerate(names):
        kind = "action_accuracy" if column in choices else "action_mae"
        label = f"{kind}_{name.replace('.', '_')}" if len(names) > 1 else kind
        by_model: dict[str, tuple[list[float], list[float]]] = {"foretell": ([], []), "last_action": ([], [])}
        for one in said:
            truth = one.actions[:, column]
            last = np.concatenate([[np.nan], truth[:-1]])
            for model, guess in (("foretell", one.expected[:, column]), ("last_action", last)):
                score = (truth == guess).astype(float) if column in choices else np.abs(truth - guess)
                known = np.isfinite(truth) & np.isfinite(guess) & np.isfinite(last)
                by_model[model][0].append(float(score[known].sum()))
                by_model[model][1].append(float(known.sum()))
        yield label, {model: Totals(np.array(sums), np.array(n)) for model, (sums, n) in by_model.items()}


def foresight(said: list[Said], constant: NDArray[np.bool_]) -> dict[str, Totals]:
    """Root mean square error of the next observation in units of its deviation, beside that of no change; per span the
    mean over steps of the mean over columns that move."""
    by_model: dict[str, tuple[list[float], list[float]]] = {"foretell": ([], []), "no_change": ([], [])}
    moving = ~constant
    scale = np.nanstd(np.concatenate([one.observations for one in said]), axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    for one in said:
        if not one.foreseen.shape[1] or len(one.observations) < 2:
            continue
        truth, before = one.observations[1:, moving], one.observations[:-1, moving]
        for model, guess in (("foretell", one.foreseen[1:, moving]), ("no_change", before)):
            error = ((truth - guess) / scale[moving]) ** 2
            known = np.isfinite(error).any(axis=1)
            row = np.sqrt(np.nanmean(error[known], axis=1)) if known.any() else np.zeros(0)
            row = row[np.isfinite(row)]
            by_model[model][0].append(float(row.sum()))
            by_model[model][1].append(float(len(row)))
    return {model: Totals(np.array(sums), np.array(n)) for model, (sums, n) in by_model.items()}


def first_episode(said: list[Said]) -> Any:
    """The longest of them, for a figure."""
    return max(said, key=lambda one: len(one.actions))
