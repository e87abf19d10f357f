"""One token a number: every column of an observation and of an action is a bin, in the order in which a step has them.

    o_0[1] ... o_0[O]  a_0[1] ... a_0[A]  o_1[1] ...          S = O + A tokens a step, O more where the last one is
    known

As Trajectory Transformer (Janner et al. 2021, arXiv 2106.02039) and PASTA (Boige et al. 2023) do: an action is
predicted column by column, given the observation of its own step. Which column a token is, and so its modality, is
known ahead; all share one vocabulary. Lossy, with a stated bound: a value inside the range comes back within half the
width of its bin; constant columns have no token and come back as the constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.scaling import Scaling
from core.sequence import Array, Field, Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import MASK, SPECIALS, Vocabulary
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import CHOICE, Values
from domains.robots.tokenizer.continuous import RETURN, to_go
from domains.robots.tokenizer.shared import REWARD, TASK, RobotsConfig, RobotsTokenizer, check_name, check_whole

TOKENS, COMPONENT = "tokens", "component"
METHODS = ("uniform", "quantile", "mu_law")
LEAST_BINS, MOST_BINS = 4, 4096
MU = 100.0
"""Of mu-law companding, as in Gato (Reed et al. 2022, arXiv 2205.06175, section 2.2)."""


@dataclass(frozen=True)
class ComponentsConfig(RobotsConfig):
    """Of `robots_components`."""

    bins: int = 256
    """Bins a column, 4 to 4096; Trajectory Transformer has 100, Gato 1024."""
    method: str = "uniform"
    """`uniform`: bins of equal width; `quantile`: of equal share of the training data; `mu_law`: finer around the
    middle of the range."""
    margin: float = 0.05
    """Share of the training range that is added at either end."""
    return_to_go: bool = False
    """Whether the sum of the rewards still to come is given with each token."""
    edges: tuple[tuple[float, ...], ...] = ()
    """Learned, per column that has a token: both ends of its range, or its bins + 1 borders (quantile)."""
    return_scale: float = 0.0
    """Learned: the largest size of a return to go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("bins", self.bins, LEAST_BINS, MOST_BINS)
        check_name("method", self.method, METHODS)


class ComponentsTokenizer(RobotsTokenizer[ComponentsConfig]):
    """See the file's head. Fields: tokens, component, and where asked for return_to_go, task."""

    kind: ClassVar[str] = "robots_components"
    config_class: ClassVar[type[ComponentsConfig]] = ComponentsConfig

    def learn(self, episodes: list[Episode], moving: NDArray[np.bool_]) -> dict[str, Any]:
        seen = np.concatenate([one.observations for one in episodes])[:, moving]
        done = np.concatenate([one.actions for one in episodes])
        space = self._space_of(episodes[0])
        edges = [self._ends(column, -np.inf, np.inf) for column in seen.T]
        low, high = space.bounds
        for part, where in space.columns():
            if part.kind == CHOICE:
                edges.append((part.first - 0.5, part.first + part.size - 0.5))
            else:
                bounded = zip(done[:, where].T, low[where], high[where], strict=True)
                edges += [self._ends(column, *bounds) for column, *bounds in bounded]
        ahead = [float(np.abs(to_go(one.rewards)).max()) for one in episodes if np.isfinite(one.rewards).all()]
        return {"edges": tuple(edges), "return_scale": max(ahead, default=0.0) or 1.0}

    def _ends(self, column: Values, least: float, most: float) -> tuple[float, ...]:
        """Borders for one column, inside of what the space allows: a bin's centre must be an action too."""
        known = column[~np.isnan(column)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        room = self.config.margin * (high - low) or max(abs(low), 1.0) * 1e-3
        ends = max(low - room, least), min(high + room, most)
        if self.config.method != "quantile" or not len(known):
            return ends
        inner = np.quantile(known, np.arange(1, self.config.bins) / self.config.bins)
        return tuple(np.unique([ends[0], *inner.tolist(), ends[1]]).tolist())

    @cached_property
    def moving(self) -> NDArray[np.int64]:
        """Columns of the observation that have a token."""
        return np.flatnonzero(~np.asarray(self.config.constant, bool))

    @cached_property
    def is_choice(self) -> NDArray[np.bool_]:
        """(A,) columns of the action that are choices."""
        found = np.zeros(self.action_space.width, bool)
        for part, where in self.action_space.columns():
            found[where] = part.kind == CHOICE
        return found

    @property
    def tokens_per_step(self) -> int:
        return len(self.config.edges) or 1

    @property
    def observed_tokens(self) -> int:
        """O, tokens of an observation."""
        return len(self.moving)

    @cached_property
    def borders(self) -> list[NDArray[np.float64]]:
        """Per column that has a token (bins + 1,), growing; a choice has a bin for each alternative."""
        self.check_fitted()
        found = []
        for number, ends in enumerate(self.config.edges):
            action = number - self.observed_tokens
            if action >= 0 and self.is_choice[action]:
                found.append(np.arange(ends[0], ends[1] + 0.5))
            elif self.config.method == "quantile":
                found.append(np.asarray(ends))
            else:
                found.append(self._spaced(*ends))
        return found

    def _spaced(self, low: float, high: float) -> NDArray[np.float64]:
        even = np.linspace(-1, 1, self.config.bins + 1)
        if self.config.method == "mu_law":
            even = np.sign(even) * np.expm1(np.abs(even) * np.log1p(MU)) / MU
        return (low + high) / 2 + even * (high - low) / 2

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """(S, most bins) what decode gives, in float32's numbers; NaN where a column has fewer bins."""
        found = np.full((len(self.borders), max(len(b) for b in self.borders) - 1), np.nan)
        for row, borders in zip(found, self.borders, strict=True):
            row[: len(borders) - 1] = ((borders[1:] + borders[:-1]) / 2).astype(np.float32)
        return found

    @cached_property
    def log_widths(self) -> NDArray[np.float64]:
        """(S, most bins) log of each bin's width in raw units; 0 for choices. Nats plus this are of a density."""
        found = np.zeros_like(self.centres)
        for number, borders in enumerate(self.borders):
            action = number - self.observed_tokens
            if action < 0 or not self.is_choice[action]:
                found[number, : len(borders) - 1] = np.log(np.diff(borders))
        return found

    @property
    def error_bound(self) -> NDArray[np.float64]:
        """(S,) how far a value inside the range may come back from where it was: half the widest bin; 0 for choices."""
        bound = np.array([np.diff(borders).max() / 2 for borders in self.borders]) * (1 + 1e-6)
        bound[self.observed_tokens :][self.is_choice] = 0
        return bound

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary((*(f"b{i}" for i in range(self.centres.shape[1])), *self.config.extension))

    @cached_property
    def components(self) -> Vocabulary:
        """Which column a token is, its modality in its name."""
        sensors = (f"o{column + 1}" for column in self.moving)
        return Vocabulary((*sensors, *(f"a{i + 1}" for i in range(self.action_space.width))))

    @cached_property
    def spec(self) -> TokenSpec:
        """Raises ConfigError before `fit`."""
        self.check_fitted()
        fields: list[Field] = [
            symbol(TOKENS, self.vocabulary),
            symbol(COMPONENT, self.components, Role.KNOWN_AHEAD),
        ]
        if self.config.return_to_go:
            unit = Scaling(kind="constant", location=(0.0,), scale=(self.config.return_scale,))
            fields.append(real(RETURN, 1, Role.GIVEN, unit))
        if self.config.tasks:
            fields.append(symbol(TASK, Vocabulary(self.config.tasks), Role.GIVEN))
        return TokenSpec(tuple(fields))

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """A token is one S-th of a step."""
        return np.full(len(arrays[TOKENS]), 1 / self.tokens_per_step)

    def bins_of(self, values: Values, columns: slice) -> NDArray[np.int64]:
        """(T, columns) the bin of each value, the outermost for what lies outside, -1 for what is missing."""
        found = np.empty(values.shape, np.int64)
        for place, borders in enumerate(self.borders[columns]):
            column, last = values[:, place], len(borders) - 2
            if self.config.method == "uniform":  # bins of equal width: no search
                scale = (last + 1) / (borders[-1] - borders[0])
                with np.errstate(invalid="ignore"):
                    inside = np.nan_to_num((column - borders[0]) * scale, nan=0.0)
                found[:, place] = np.clip(inside, 0, last).astype(np.int64)
            else:
                found[:, place] = np.clip(np.searchsorted(borders, column, side="right") - 1, 0, last)
        found[np.isnan(values)] = -1
        return found

    def values_of(self, bins: NDArray[np.int64], columns: slice) -> Values:
        """(T, columns) bin centres, NaN for -1."""
        centres = self.centres[columns]
        found = centres[np.arange(len(centres)), np.clip(bins, 0, centres.shape[1] - 1)]
        return np.where(bins < 0, np.nan, found)

    def rounded(self, observations: Values) -> Values:
        """Bin centres, once there are bins; constants in their columns."""
        if self.needs_fit:
            return super().rounded(observations)
        seen = slice(0, self.observed_tokens)
        found = np.tile(np.asarray(self.config.location, np.float32).astype(np.float64), (len(observations), 1))
        found[:, self.moving] = self.values_of(self.bins_of(observations[:, self.moving], seen), seen)
        return found

    def rounded_actions(self, one: Episode) -> Values:
        if self.needs_fit:
            return super().rounded_actions(one)
        done = slice(self.observed_tokens, None)
        return self.values_of(self.bins_of(one.actions, done), done)

    def encode(self, record: Episode) -> Sequence:
        """Missing values are MASK and are not predicted. Raises RecordError as `read`."""
        one = self.read(record)
        self.check_fitted()
        steps, width, seen = len(one), self.tokens_per_step, self.observed_tokens
        bins = np.empty((steps + 1, width), np.int64)
        bins[: len(one.observations), :seen] = self.bins_of(one.observations[:, self.moving], slice(0, seen))
        bins[:steps, seen:] = self.bins_of(one.actions, slice(seen, None))
        flat = bins.reshape(-1)[: steps * width + (seen if one.has_final else 0)]
        there = flat >= 0
        ids = np.where(there, flat + len(SPECIALS), MASK).astype(self.vocabulary.dtype)
        arrays: dict[str, Array] = {TOKENS: ids, COMPONENT: self.component_ids(0, len(ids))}
        self._add_given(arrays, one, len(ids))
        rewards = np.append(np.nan_to_num(one.rewards), 0.0).astype(np.float32)
        reward = np.repeat(rewards, width)[: len(ids)]
        masks = {} if there.all() else {TOKENS: there}
        return Sequence(arrays, one.id, loss_mask=masks, labels=self.labels(one), token_labels={REWARD: reward})

    def _add_given(self, arrays: dict[str, Array], one: Episode, tokens: int) -> None:
        if self.config.return_to_go:
            ahead = np.append(to_go(np.nan_to_num(one.rewards)), 0.0).astype(np.float32)
            arrays[RETURN] = np.repeat(ahead, self.tokens_per_step)[:tokens, None]
        if self.config.tasks:
            vocabulary = Vocabulary(self.config.tasks)
            arrays[TASK] = np.full(tokens, vocabulary.ids[one.task], vocabulary.dtype)

    def component_ids(self, start: int, stop: int) -> Array:
        """Of the tokens [start, stop) of an episode."""
        cycle = np.arange(start, stop) % self.tokens_per_step + len(SPECIALS)
        return cycle.astype(self.components.dtype)

    def ahead(self, record: Episode, tokens: int) -> Sequence:
        """The known-ahead field of the `tokens` tokens after an episode."""
        begun = len(record) * self.tokens_per_step + (self.observed_tokens if record.has_final else 0)
        return Sequence({COMPONENT: self.component_ids(begun, begun + tokens)})

    def ahead_of_all(self, tokens: int) -> Sequence:
        """The same of the first `tokens` tokens of any episode: columns come in turn."""
        return Sequence({COMPONENT: self.component_ids(0, tokens)})

    def decode(self, sequence: Sequence) -> Episode:
        """Bin centres, NaN for what is no bin of its column. Tokens after the last whole step are left out."""
        width, seen = self.tokens_per_step, self.observed_tokens
        ids = sequence.arrays[TOKENS].astype(np.int64)
        steps, rest = divmod(len(ids), width)
        final = rest >= seen > 0
        padded = np.full((steps + 1, width), MASK, np.int64)
        padded.reshape(-1)[: len(ids)] = ids
        bins = padded - len(SPECIALS)
        sizes = np.array([len(borders) - 1 for borders in self.borders])
        bins[(bins < 0) | (bins >= sizes)] = -1
        observations = np.tile(np.asarray(self.config.location, np.float32).astype(np.float64), (steps + 1, 1))
        observations[:, self.moving] = self.values_of(bins[:, :seen], slice(0, seen))
        actions = self.values_of(bins[:steps, seen:], slice(seen, None))
        rewards = sequence.token_labels.get(REWARD)
        known = rewards is not None and bool(sequence.labels.get("has_rewards", True))
        got = np.full(steps, np.nan)
        if known and rewards is not None:
            got = np.asarray(rewards, np.float64)[: steps * width : width]
        if not (final or sequence.labels.get("has_final", False)):
            observations = observations[:steps]
        return Episode.from_labels(sequence.id, observations, actions, got, self.labels_of(sequence))

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """With a chance of `sensor_drop`, one column of the observation is UNK throughout, and not predicted."""
        key = f"loss_mask/{TOKENS}"
        if not self.config.sensor_drop or rng.random() >= self.config.sensor_drop or not self.observed_tokens:
            return arrays
        lost = int(rng.integers(self.observed_tokens)) + len(SPECIALS)
        gone = arrays[COMPONENT] == lost
        changed = {**arrays, TOKENS: np.where(gone, MASK, arrays[TOKENS]).astype(arrays[TOKENS].dtype)}
        if key in arrays:
            changed[key] = arrays[key] & ~gone
        return changed
