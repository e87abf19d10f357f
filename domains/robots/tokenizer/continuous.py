"""One token a step: an observation as a real vector, beside it the action that led to it.

    token 0   o_0             token t   a_(t-1), o_t             T + 1 tokens for T steps

What a model has read after token t is everything up to o_t, and what it predicts next is a_t: a policy; and o_(t+1)
with it: a model of the world that leaves the action out. Given o_t, both are predicted apart, so the density of a
step is their product. Return to go (Decision Transformer, arXiv 2106.01345) and task are given fields, read with o_t.
A model that reads a_(t-1) may learn to repeat it instead of looking (de Haan et al. 2019, arXiv 1905.11979): actions
need not be read, and what the expert intended can be predicted in place of what noise made of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.scaling import Scaling
from core.sequence import Array, Field, Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import MASK, SPECIALS, Vocabulary
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import BOX, CHOICE, Values
from domains.robots.tokenizer.shared import REWARD, TASK, RobotsConfig, RobotsTokenizer, check_whole, single, statistics

OBSERVATION, ACTION, RETURN, PAST = "observation", "action", "return_to_go", "past_action"
INTENDED = "intended"
_log = logging.getLogger(__name__)
USUAL = {"read_actions": True, "intended": False}
"""Settings that a config has only where they differ: fingerprints are older than they."""


@dataclass(frozen=True)
class ContinuousConfig(RobotsConfig):
    """Of `robots_continuous`."""

    predict_observations: bool = True
    """Whether the next observation is predicted as well; false: observations are context alone (behaviour cloning)."""
    residual: bool = True
    """Whether an observation is predicted as a change from the last one."""
    return_to_go: bool = False
    """Whether the sum of the rewards still to come is given with each observation."""
    past: int = 0
    """Beside the next action that of so many steps before it is predicted: an auxiliary task that keeps the past in
    mind (Torne et al. 2025, arXiv 2505.09561). 0: not."""
    read_actions: bool = USUAL["read_actions"]
    """Whether the action before is read beside the observation; false: observations alone are."""
    intended: bool = USUAL["intended"]
    """Whether what the expert intended is predicted, not what was done (DART: Laskey et al. 2017, arXiv 1703.09327)."""
    scale: tuple[float, ...] = ()
    residual_scale: tuple[float, ...] = ()
    """Learned: per observation column deviation, and root mean square of the change over a step."""
    action_location: tuple[float, ...] = ()
    action_scale: tuple[float, ...] = ()
    """Learned: per number of the action."""
    return_scale: float = 0.0
    """Learned: the largest size of a return to go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("predict_observations", "residual", "return_to_go", "read_actions", "intended"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"tokenizer.{key}: got {getattr(self, key)!r}, allowed: true, false")
        check_whole("past", self.past, 0)
        if self.extension:
            raise ConfigError("tokenizer.extension: tokens that are real values have no symbols to add to")


class ContinuousTokenizer(RobotsTokenizer[ContinuousConfig]):
    """See the file's head. Fields: observation, action or choice_1 ..., and where asked for return_to_go, task, and
    intended or intended_1 ... beside the action, which is then given."""

    kind: ClassVar[str] = "robots_continuous"
    config_class: ClassVar[type[ContinuousConfig]] = ContinuousConfig
    reads_prompts: ClassVar[bool] = True
    remedies: ClassVar[dict[str, str]] = dict.fromkeys(
        ("wrong_width", "unknown_task"),
        "With tokenizer_from= the key tokenizer_grows=true adds sensors behind those that are known, and tasks.",
    )

    def learn(self, episodes: list[Episode], moving: NDArray[np.bool_]) -> dict[str, Any]:
        if self.config.intended and all(one.intended is None for one in episodes):
            raise ConfigError(
                "tokenizer.intended: no training episode says what its expert intended",
                hint="Demonstrations that are made here do (data=classic, metaworld10 ...); leave it out for files.",
            )
        _, scale = statistics(np.concatenate([one.observations for one in episodes]))
        changes = np.concatenate([np.diff(one.observations, axis=0) for one in episodes])
        if len(changes):
            with np.errstate(invalid="ignore"):
                square = np.sqrt(np.where(np.isnan(changes), 0, changes**2).mean(0))
            change = np.where(square > 1e-6 * scale, square, scale)
        else:
            change = scale
        actions = np.concatenate([one.actions for one in episodes])
        space = self._space_of(episodes[0])
        numbers = [where for part, where in space.columns() if part.kind == BOX]
        actions = actions[~np.isnan(actions).all(axis=1)]
        boxes = np.concatenate([actions[:, where] for where in numbers], axis=1) if numbers else actions[:, :0]
        mean, deviation = statistics(boxes)
        ahead = [float(np.abs(to_go(one.rewards)).max()) for one in episodes if np.isfinite(one.rewards).all()]
        return {
            "scale": tuple(scale.tolist()),
            "residual_scale": tuple(change.tolist()),
            "action_location": tuple(mean.tolist()),
            "action_scale": tuple(deviation.tolist()),
            "return_scale": max(ahead, default=0.0) or 1.0,
        }

    def growing(self) -> Self:
        """Further columns of the observation stand behind those that it has, whose constants stay, and so do tasks."""
        return self._growing(observations=0, tasks=(), constant=(), location=())

    def joined(self, learned: dict[str, Any]) -> dict[str, Any]:
        if self.before is None:
            return learned
        old = self.before.config
        if learned["observations"] < old.observations or learned["action_space"] != old.action_space:
            raise ConfigError(
                f"tokenizer_grows: episodes have {learned['observations']} observation columns and act in "
                f"{learned['action_space']}; before there were {old.observations}, in {old.action_space}",
                hint="The first columns must be those that the model knows, in their order, and actions the same.",
            )
        kept = {key: getattr(old, key) for key in ("action_location", "action_scale", "return_scale")}
        for key in ("constant", "location", "scale", "residual_scale"):
            kept[key] = (*getattr(old, key), *learned[key][old.observations :])
        moving = [i for i, steady in enumerate(old.constant) if steady and not learned["constant"][i]]
        if moving:
            _log.warning(
                "observation columns %s move here and stood still where the tokenizer was made: they stay unread",
                ", ".join(map(str, moving)),
            )
        return {**learned, **kept}

    def to_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().to_config().items() if USUAL.get(key) is not value}

    @property
    def predicted(self) -> str:
        """The field of the numbers that are acted on."""
        return INTENDED if self.config.intended else ACTION

    def predicted_choice(self, name: str) -> str:
        """The field of a choice that is acted on."""
        return name.replace("choice", INTENDED) if self.config.intended else name

    @cached_property
    def choices(self) -> list[tuple[str, int, Vocabulary]]:
        """Field, column of the action and alternatives of every choice."""
        found: list[tuple[str, int, Vocabulary]] = []
        for part, where in self.action_space.columns():
            if part.kind == CHOICE:
                letters = Vocabulary(tuple(str(part.first + i) for i in range(part.size)))
                found.append((f"choice_{len(found) + 1}", where.start, letters))
        return found

    @cached_property
    def numbers(self) -> list[int]:
        """Columns of the action that are real numbers."""
        boxes = (where for part, where in self.action_space.columns() if part.kind == BOX)
        return [column for where in boxes for column in range(where.start, where.stop)]

    @cached_property
    def spec(self) -> TokenSpec:
        """Raises ConfigError before `fit`."""
        self.check_fitted()
        config = self.config
        role = Role.TARGET if config.predict_observations else Role.GIVEN
        acts = Role.GIVEN if config.intended else Role.TARGET
        scaling = Scaling(
            kind="constant",
            location=config.location,
            scale=config.scale,
            residual=config.residual and config.predict_observations,
            residual_scale=config.residual_scale if config.residual and config.predict_observations else (),
        )
        fields: list[Field] = []
        if self.numbers:
            numbers = Scaling(kind="constant", location=config.action_location, scale=config.action_scale)
            width = len(self.numbers)
            fields.append(real(ACTION, width, acts, numbers, read=config.read_actions))
            if config.past:
                fields.append(real(PAST, width, scaling=numbers, read=config.read_actions))
            if config.intended:
                fields.append(real(INTENDED, width, scaling=numbers, read=False))
        for name, _, vocabulary in self.choices:
            fields.append(symbol(name, vocabulary, acts, read=config.read_actions))
            if config.intended:
                fields.append(symbol(self.predicted_choice(name), vocabulary, read=False))
        fields.append(real(OBSERVATION, config.observations, role, scaling))
        if config.return_to_go:
            unit = Scaling(kind="constant", location=(0.0,), scale=(config.return_scale,))
            fields.append(real(RETURN, 1, Role.GIVEN, unit))
        if config.tasks:
            fields.append(symbol(TASK, Vocabulary(config.tasks), Role.GIVEN))
        return TokenSpec(tuple(fields))

    def encode(self, record: Episode) -> Sequence:
        """What is missing is 0 or MASK and not observed; a constant column is kept and not observed either. Raises
        RecordError as `read`."""
        one = self.read(record)
        self.check_fitted()
        tokens = len(one) + 1
        arrays: dict[str, Array] = {}
        observed: dict[str, Array] = {}
        arrays |= self.action_arrays(one.actions, observed)
        if self.config.intended:
            wanted = np.full_like(one.actions, np.nan) if one.intended is None else one.intended
            arrays |= self.intended_arrays(wanted, observed)
        values = np.full((tokens, self.config.observations), np.nan)
        values[: len(one.observations)] = self.filled(one.observations)
        there = ~np.isnan(values)
        arrays[OBSERVATION] = np.where(there, values, 0).astype(np.float32)
        observed[OBSERVATION] = there & ~np.asarray(self.config.constant, bool)
        known = bool(np.isfinite(one.rewards).all())
        rewards = np.concatenate([[0.0], np.nan_to_num(one.rewards)]).astype(np.float32)
        if self.config.return_to_go:
            arrays[RETURN] = np.append(to_go(np.nan_to_num(one.rewards)), 0.0)[:, None].astype(np.float32)
            if not known:
                observed[RETURN] = np.zeros((tokens, 1), bool)
        if self.config.tasks:
            vocabulary = Vocabulary(self.config.tasks)
            arrays[TASK] = np.full(tokens, vocabulary.ids[one.task], vocabulary.dtype)
        labels = self.labels(one)
        mask: dict[str, Array] = {}
        if one.prompt:  # what demonstrations are is read; loss is on the query, from the action after its first token
            counts = np.arange(tokens) > one.prompt
            mask = {f.name: counts for f in self.spec.fields if f.is_target}
        return Sequence(arrays, one.id, observed, mask, labels=labels, token_labels={REWARD: rewards})

    def action_arrays(self, actions: Values, observed: dict[str, Array]) -> dict[str, Array]:
        """The action fields of T actions, shifted by a token; what is not there is noted in `observed`."""
        shifted = _shifted(actions)
        arrays: dict[str, Array] = {}
        if self.numbers:
            arrays[ACTION], observed[ACTION] = _filled(shifted[:, self.numbers])
            if self.config.past:
                k = self.config.past
                before = np.full_like(shifted, np.nan)
                before[k:] = shifted[:-k] if k < len(shifted) else shifted[:0]
                arrays[PAST], observed[PAST] = _filled(before[:, self.numbers])
        for name, column, vocabulary in self.choices:
            arrays[name], observed[name] = _ids(shifted[:, column], vocabulary)
        return arrays

    def intended_arrays(self, intended: Values, observed: dict[str, Array]) -> dict[str, Array]:
        """The same of T intended actions."""
        shifted = _shifted(intended)
        arrays: dict[str, Array] = {}
        if self.numbers:
            arrays[INTENDED], observed[INTENDED] = _filled(shifted[:, self.numbers])
        for choice, column, vocabulary in self.choices:
            name = self.predicted_choice(choice)
            arrays[name], observed[name] = _ids(shifted[:, column], vocabulary)
        return arrays

    def canonical(self, record: Episode) -> Episode:
        one = super().canonical(record)
        wanted = record.intended if self.config.intended else None
        return replace(one, intended=None if wanted is None or np.isnan(wanted).all() else single(wanted))

    def decode(self, sequence: Sequence) -> Episode:
        """The episode. Of a sample, which has no masks, the first action is nothing and constants are put back."""
        steps = len(sequence) - 1
        actions = self._actions(sequence, ACTION, [name for name, _, _ in self.choices])
        intended = None
        if self.config.intended:
            wanted = self._actions(sequence, INTENDED, [self.predicted_choice(name) for name, _, _ in self.choices])
            intended = None if np.isnan(wanted).all() else wanted
        observations = self._observations(sequence)
        rewards = sequence.token_labels.get(REWARD)
        known = rewards is not None and bool(sequence.labels.get("has_rewards", True))
        got = np.asarray(rewards, np.float64)[1:] if known and rewards is not None else np.full(steps, np.nan)
        if not sequence.labels.get("has_final", True):
            observations = observations[:-1]
        made = Episode.from_labels(sequence.id, observations, actions, got, self.labels_of(sequence))
        return replace(made, intended=intended)

    def _actions(self, sequence: Sequence, numbers: str, choices: list[str]) -> Values:
        """(T, A) of the fields with these names, NaN where nothing is."""
        actions = np.full((len(sequence) - 1, self.action_space.width), np.nan)
        if self.numbers:
            there = sequence.observed.get(numbers)
            values = sequence.arrays[numbers].astype(np.float64)
            actions[:, self.numbers] = (values if there is None else np.where(there, values, np.nan))[1:]
        for name, (_, column, vocabulary) in zip(choices, self.choices, strict=True):
            ids = sequence.arrays[name].astype(np.int64)[1:]
            real_ids = (ids >= len(SPECIALS)) & (ids < len(vocabulary))
            chosen = ids - len(SPECIALS) + int(vocabulary.symbols[0])
            actions[:, column] = np.where(real_ids, chosen, np.nan)
        return actions

    def _observations(self, sequence: Sequence) -> Values:
        values = sequence.arrays[OBSERVATION].astype(np.float64)
        there = sequence.observed.get(OBSERVATION)
        constant = np.asarray(self.config.constant, bool)
        if there is None:
            steady = np.asarray(self.config.location, np.float32).astype(np.float64)
            return np.where(constant, steady, values)
        return np.where(there | constant, values, np.nan)

    def view_window(self, arrays: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """With a chance of `sensor_drop`, one column of the observation is missing throughout."""
        key = f"observed/{OBSERVATION}"
        if not self.config.sensor_drop or rng.random() >= self.config.sensor_drop or key not in arrays:
            return arrays
        there = arrays[key].copy()
        there[:, int(rng.integers(there.shape[1]))] = False
        return {**arrays, key: there}


def to_go(rewards: Values) -> Values:
    """(T,) the sum of this reward and all that follow."""
    return np.cumsum(rewards[::-1])[::-1]


def _shifted(actions: Values) -> Values:
    """(T + 1, A) by a token: no action led to the first observation."""
    return np.concatenate([np.full((1, actions.shape[1]), np.nan), actions])


def _ids(chosen: Values, vocabulary: Vocabulary) -> tuple[Array, NDArray[np.bool_]]:
    """Ids of a column of choices, MASK where there is none, and where there is one."""
    there = ~np.isnan(chosen)
    ids = np.where(there, np.nan_to_num(chosen) - int(vocabulary.symbols[0]) + len(SPECIALS), MASK)
    return ids.astype(vocabulary.dtype), there


def _filled(values: Values) -> tuple[Array, NDArray[np.bool_]]:
    there = ~np.isnan(values)
    return np.where(there, values, 0).astype(np.float32), there
