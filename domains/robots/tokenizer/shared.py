"""What the tokenizers of episodes share: spaces and tasks learned from the data, checks, labels, configs.

Values are kept in float32: an episode comes back rounded to it. Nothing is filled in: a sensor that gave nothing is
marked missing, and so are the actions of an episode that has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.configured_tokenizer import ConfiguredTokenizer
from core.errors import ConfigError, RecordError, nearest
from core.sequence import Array, Sequence
from core.vocabulary import SPECIALS
from domains.robots.source.episode import Episode, as_episode
from domains.robots.source.spaces import Space, Values, box

TASK = "task"
"""Field: which of several tasks an episode is of, the same at each token."""
REWARD = "reward"
"""Token label: the reward of the step that led to a token; 0 at the first."""
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class RobotsConfig:
    """What all tokenizers of episodes have."""

    observations: int = 0
    """Columns of an observation; 0: learned from the training episodes."""
    action_space: tuple[Mapping[str, Any], ...] = ()
    """Learned: the parts of an action, as `Space.to_config` gives them."""
    tasks: tuple[str, ...] = ()
    """Learned: the tasks by name, where there are several; each is then told to the model."""
    constant: tuple[bool, ...] = ()
    """Learned: which columns of the observation never change in training. They are kept, but neither read nor
    predicted: a density of what never changes has no bound. Where one is missing it comes back as the constant."""
    location: tuple[float, ...] = ()
    """Learned: the mean of each observation column."""
    sensor_drop: float = 0.0
    """Chance that a training window lacks one of its observation columns (PASTA: Krishna et al. 2024 drop whole
    modalities)."""
    tell_task: bool = True
    """Whether a model of several tasks is told which one it is; false leaves it to a demonstration to say."""
    extension: tuple[str, ...] = ()
    """Symbols appended by `extend`, which stand in no episode; for tokens that are symbols."""

    def __post_init__(self) -> None:
        check_whole("observations", self.observations, 0)
        if not isinstance(self.tell_task, bool):
            raise ConfigError(f"tokenizer.tell_task: got {self.tell_task!r}, allowed: true, false")
        if isinstance(self.sensor_drop, bool) or not 0 <= self.sensor_drop <= 1:
            raise ConfigError(f"tokenizer.sensor_drop: got {self.sensor_drop!r}, allowed: a chance from 0 to 1")


Config = TypeVar("Config", bound=RobotsConfig)


class RobotsTokenizer(ConfiguredTokenizer[Episode, Config]):
    """The half of the contract of `core.tokenizer.Tokenizer` that is the same for vectors, components and chunks."""

    natural_unit: ClassVar[str] = "step"
    config_class: ClassVar[type[RobotsConfig]]
    reads_prompts: ClassVar[bool] = False
    """Whether demonstrations may stand before an episode."""

    @property
    def constant_fields(self) -> tuple[str, ...]:
        """Given fields that have one value in a whole episode."""
        return (TASK,) if self.config.tasks else ()

    @property
    def needs_fit(self) -> bool:
        return self.config.observations == 0

    @cached_property
    def action_space(self) -> Space:
        """Raises ConfigError before `fit`."""
        if not self.config.action_space:
            self.check_fitted()
        return Space.from_config(self.config.action_space)

    def check_fitted(self) -> None:
        if self.needs_fit:
            raise ConfigError(f"tokenizer {self.kind} has not learned its constants yet", hint="Call fit first.")

    def fit(self, train_records: Iterable[Episode]) -> Self:
        """A tokenizer with the training episodes' spaces, tasks and constants; itself where it has them.

        Raises RecordError for an episode that differs from the first one in its spaces.
        """
        if not self.needs_fit:
            return self
        episodes = self.readable(train_records)
        tasks = sorted({one.task for one in episodes if one.task})
        if self.before is not None:
            tasks = list(dict.fromkeys((*self.before.config.tasks, *tasks)))
        whole = np.concatenate([one.observations for one in episodes])
        with np.errstate(invalid="ignore"):
            steady = np.array([_steady(column) for column in whole.T.astype(np.float32)])
        learned: dict[str, Any] = {
            "observations": whole.shape[1],
            "action_space": tuple(self._space_of(episodes[0]).to_config()),
            "tasks": tuple(tasks) if len(tasks) > 1 and self.config.tell_task else (),
            "constant": tuple(steady.tolist()),
            "location": tuple(statistics(whole)[0].tolist()),
        }
        learned |= self.learn(episodes, ~steady)
        return self._fitted(replace(self.config, **self.joined(learned)))

    def learn(self, episodes: list[Episode], moving: NDArray[np.bool_]) -> dict[str, Any]:
        """Further fields of the config. moving: (O,) columns that are not constant."""
        raise NotImplementedError

    def joined(self, learned: dict[str, Any]) -> dict[str, Any]:
        """`learned`, behind what is known already of a tokenizer that grows."""
        return learned

    def canonical(self, record: Episode) -> Episode:
        """The episode as it comes back."""
        one = self.read(record)
        return Episode.from_labels(
            one.id,
            self.rounded(one.observations),
            self.rounded_actions(one),
            single(one.rewards),
            self.labels(one),
        )

    def labels_of(self, sequence: Sequence) -> dict[str, Any]:
        """Those that it has; of a sample, which has none, the task that its tokens say."""
        labels = dict(sequence.labels)
        if "task" not in labels and TASK in sequence.arrays and len(sequence):
            number = int(sequence.arrays[TASK][-1]) - len(SPECIALS)
            if 0 <= number < len(self.config.tasks):
                labels["task"] = self.config.tasks[number]
        return labels

    def rounded(self, observations: Values) -> Values:
        """(T, O) to (T, O), NaN where missing."""
        return single(self.filled(observations))

    def filled(self, observations: Values) -> Values:
        """With the constant where a constant column is missing; as they are before `fit`."""
        if not any(self.config.constant):
            return observations
        gone = np.isnan(observations) & np.asarray(self.config.constant, bool)
        return np.where(gone, np.asarray(self.config.location), observations)

    def rounded_actions(self, one: Episode) -> Values:
        return single(one.actions)

    def labels(self, one: Episode) -> dict[str, Any]:
        """The episode's, with what decoding must know."""
        known = np.isfinite(one.rewards).all()
        return {**one.labels(), "has_final": one.has_final, "has_rewards": bool(known)}

    def same(self, a: Episode, b: Episode) -> bool:
        """Whether ids, labels and arrays are equal, missing values in the same places."""
        one, other = as_episode(a), as_episode(b)
        labels, others = one.labels(), other.labels()
        close = [_label_equal(labels[key], others[key]) for key in labels]
        return (
            one.id == other.id
            and all(close)
            and (one.intended is None) == (other.intended is None)
            and all(
                np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
                for name in ("observations", "actions", "rewards", "intended")
                if getattr(one, name) is not None
            )
        )

    def read(self, record: Episode) -> Episode:
        """An episode that can be encoded, choices of its observation as columns of 0 and 1.

        Raises RecordError: no steps, another width of observations or other actions than were learned, a value that is
        infinite, actions that are NaN in places, or outside the space.
        """
        one = as_episode(record)
        if not len(one):
            refuse(one, "empty", "has no steps")
        width = self.config.observations
        if width and one.observations.shape[1] != width:
            refuse(one, "wrong_width", f"has {one.observations.shape[1]} observation columns, expected {width}")
        named = {"observation": one.observations, "action": one.actions, "reward": one.rewards}
        if one.intended is not None:
            named["intended action"] = one.intended
        for name, values in named.items():
            with np.errstate(invalid="ignore"):
                large = np.abs(values) > LARGEST
            if large.any():
                step = int(np.argwhere(large)[0, 0])
                refuse(one, "not_finite", f"has an infinite {name} at step {step}", step)
        if np.isnan(one.observations).all():
            refuse(one, "no_values", "has no observation that is not missing")
        if one.prompt and not self.reads_prompts:
            refuse(one, "prompt", f"stands behind demonstrations, which {self.kind} does not read", one.prompt)
        self._check_actions(one)
        if self.config.tasks and one.task not in self.config.tasks:
            known = self.config.tasks
            refuse(one, "unknown_task", f"is of task '{one.task}'{nearest(one.task, known)}; learned: {len(known)}")
        return one

    def _check_actions(self, one: Episode) -> None:
        space = self._space_of(one)
        if self.config.action_space and [(p.kind, p.size) for p in space.parts] != [
            (p.kind, p.size) for p in self.action_space.parts
        ]:
            theirs, ours = ([f"{p.kind} of {p.size}" for p in s.parts] for s in (space, self.action_space))
            refuse(one, "other_actions", f"has actions {', '.join(theirs)}, expected {', '.join(ours)}")
        self._check_values(one, one.actions, space, "action")
        if one.intended is not None:
            self._check_values(one, one.intended, space, "intended action")

    def _check_values(self, one: Episode, actions: Values, space: Space, what: str) -> None:
        """actions: (T, A) of the episode, done or intended."""
        missing = np.isnan(actions)
        between = missing.all(axis=1) & (np.arange(len(one)) < one.prompt)  # from one demonstration to the next
        missing = missing[~between]
        if missing.all():
            return  # none were recorded
        if missing.any():
            step = int(np.flatnonzero(~between)[np.argwhere(missing)[0, 0]])
            refuse(one, "nan_action", f"has an {what} that is NaN at step {step}", step)
        if one.action_space is None:
            return  # decoded: bins and rounding may have moved it a little
        wrong = space.outside(np.where(between[:, None], actions[~between][:1], actions))
        if wrong is not None:
            step, column = wrong
            low, high = (bound[column] for bound in space.bounds)
            said = f"{actions[step, column]:g}, outside {low:g}..{high:g}"
            refuse(one, "outside_space", f"has at step {step} the {what} {space.names[column]} = {said}", step)

    def _space_of(self, one: Episode) -> Space:
        """The space of its actions: as it says, else the learned one where it has as many columns, else numbers."""
        if one.action_space is not None:
            return one.action_space
        width = one.actions.shape[1]
        if self.config.action_space and self.action_space.width == width:
            return self.action_space
        return box(width)

    def readable(self, records: Iterable[Episode]) -> list[Episode]:
        """Training episodes, all with the same spaces. Raises RecordError as `read`, ConfigError for none."""
        found: list[Episode] = []
        for record in records:
            one = self.read(record)
            if found:
                first = found[0]
                shapes = [(e.observations.shape[1], e.actions.shape[1]) for e in (one, first)]
                if shapes[0] != shapes[1]:
                    refuse(one, "wrong_width", f"has columns {shapes[0]}, expected {shapes[1]} as in '{first.id}'")
            found.append(one)
        if not found:
            raise ConfigError(f"tokenizer {self.kind} has no training episodes to learn from")
        return found


def statistics(values: Values) -> tuple[Values, Values]:
    """(columns,) mean and deviation of (T, columns), NaN left out; the deviation of a constant is 1."""
    if not len(values) or np.isnan(values).all():
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    count = (~np.isnan(values)).sum(0)
    filled = np.nan_to_num(values)
    mean = filled.sum(0) / np.maximum(count, 1)
    spread = np.sqrt((np.where(np.isnan(values), 0, values - mean) ** 2).sum(0) / np.maximum(count, 1))
    floor = 1e-6 * np.maximum(np.abs(mean), 1e-6)
    return mean, np.where(spread > floor, spread, 1.0)


def single(values: Values) -> Values:
    """Rounded to float32, as a store keeps it."""
    return values.astype(np.float32).astype(np.float64)


def check_whole(key: str, value: Any, least: int, most: int | None = None) -> None:
    """Raises ConfigError for a value that is no whole number from `least` to `most`."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not good or (most is not None and value > most):
        allowed = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
        raise ConfigError(f"tokenizer.{key}: got {value!r}, allowed: {allowed}")


def check_name(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raises ConfigError for a value that is none of `allowed`, with the nearest one."""
    if value not in allowed:
        raise ConfigError(
            f"tokenizer.{key}: got {value!r}{nearest(str(value), allowed)}", hint=f"Allowed: {', '.join(allowed)}."
        )


def refuse(record: Episode, reason: str, what: str, position: int | None = None) -> NoReturn:
    raise RecordError(reason, f"episode '{record.id}' {what}", record=record.id, position=position)


def _steady(column: Array) -> bool:
    known = column[~np.isnan(column)]
    return not len(known) or bool((known == known[0]).all())


def _label_equal(a: Any, b: Any) -> bool:
    if isinstance(a, float):
        return bool(np.isclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True))  # the return is a sum of rounded rewards
    return bool(a == b)
