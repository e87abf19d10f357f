"""Actions in chunks: the cosine transform of H steps, rounded, spelled in learned pieces; as FAST describes.

    obs(o_0) p p p p  obs(o_H) p p p  obs(o_2H) ...          p: a piece of rounded coefficients

Pertsch et al. 2025 (arXiv 2501.09747): numbers of an action are brought to -1..1 by quantiles, each column of a chunk
is transformed (DCT-II, orthonormal), coefficients are scaled, rounded and written low frequencies first, and
byte-pair pieces are learned over them. The token "obs" carries an observation as a given vector: one is read a chunk,
those between are not kept. Lossy, with a stated bound; a last chunk that is not full is filled up with its last
action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, RecordError
from core.scaling import Scaling
from core.sequence import Array, Field, Role, Sequence, TokenSpec, real, symbol
from core.vocabulary import SPECIALS, Vocabulary
from domains.robots.source.episode import Episode
from domains.robots.source.spaces import Values
from domains.robots.tokenizer.continuous import OBSERVATION
from domains.robots.tokenizer.shared import REWARD, TASK, RobotsConfig, RobotsTokenizer, check_whole, refuse, statistics

TOKENS, OBS = "tokens", "obs"
QUANTILES = (0.01, 0.99)
"""Of each number of an action, brought to -1 and 1 (FAST, section IV)."""
MOST_LEVELS = 4096
_FIRST = 0x4E00
"""Letters that stand for levels while pieces are learned."""


@dataclass(frozen=True)
class ChunksConfig(RobotsConfig):
    """Of `robots_chunks`."""

    horizon: int = 16
    """H, steps of a chunk; FAST takes a second."""
    scale: float = 10.0
    """gamma: what coefficients are multiplied by before they are rounded (FAST: 10)."""
    pieces: int = 256
    """Learned pieces at most, single levels not counted; FAST has 1024 symbols in all."""
    longest: int = 32
    """Levels of a piece at most."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """Learned: what is brought to -1 and 1, per number of the action."""
    levels: tuple[int, ...] = ()
    """Learned: the smallest and the largest level; beyond them levels are cut off."""
    learned: tuple[tuple[int, ...], ...] = ()
    """Learned: pieces of two levels and more."""
    spread: tuple[float, ...] = ()
    """Learned: the deviation of each observation column."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("horizon", self.horizon, 1, 1024)
        check_whole("pieces", self.pieces, 0, 4096)
        check_whole("longest", self.longest, 2, 256)
        if isinstance(self.scale, bool) or not isinstance(self.scale, int | float) or not self.scale > 0:
            raise ConfigError(f"tokenizer.scale: got {self.scale!r}, allowed: a positive number")


class ChunksTokenizer(RobotsTokenizer[ChunksConfig]):
    """See the file's head. Fields: tokens, observation (given), and where there are several, task."""

    kind: ClassVar[str] = "robots_chunks"
    config_class: ClassVar[type[ChunksConfig]] = ChunksConfig

    def learn(self, episodes: list[Episode], moving: NDArray[np.bool_]) -> dict[str, Any]:
        """Raises ConfigError where an action is a choice."""
        from domains.formats.bpe_learning import learn_pieces

        space = self._space_of(episodes[0])
        if not space.continuous:
            raise ConfigError(
                "tokenizer robots_chunks is of numbers, and an action has choices",
                hint="Take robots_continuous or robots_components.",
            )
        done = np.concatenate([one.actions for one in episodes])
        done = done[np.isfinite(done).all(1)]
        if not len(done):
            raise ConfigError("tokenizer robots_chunks: no training episode has actions")
        low, high = np.quantile(done, QUANTILES, axis=0)
        middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-6 * np.maximum(1.0, np.abs(high)))
        low, high = middle - half, middle + half
        known = [one.actions for one in episodes if np.isfinite(one.actions).all()]
        chunks = [self._coefficients(chunk, low, high) for actions in known for chunk in self._cut(actions)]
        least, most = min(int(c.min()) for c in chunks), max(int(c.max()) for c in chunks)
        if most - least >= MOST_LEVELS:
            raise ConfigError(
                f"tokenizer.scale: {self.config.scale:g} makes {most - least + 1:,} levels, more than {MOST_LEVELS:,}"
            )
        alphabet = "".join(chr(_FIRST + i) for i in range(most - least + 1))
        spelled = [np.append(c.reshape(-1) - least, -1) for c in chunks]
        found = learn_pieces(
            np.concatenate(spelled).astype(np.int32), alphabet, self.config.pieces, self.config.longest
        )
        pieces = tuple(tuple(ord(letter) - _FIRST + least for letter in piece) for piece in found)
        spread = statistics(np.concatenate([one.observations for one in episodes]))[1]
        return {
            "low": tuple(low.tolist()),
            "high": tuple(high.tolist()),
            "levels": (least, most),
            "learned": pieces,
            "spread": tuple(spread.tolist()),
        }

    @cached_property
    def piece_list(self) -> list[tuple[int, ...]]:
        """The levels of each symbol behind "obs", in the order of their ids."""
        least, most = self.config.levels
        return [*((level,) for level in range(least, most + 1)), *self.config.learned]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        names = (" ".join(map(str, piece)) for piece in self.piece_list)
        return Vocabulary((OBS, *names, *self.config.extension))

    @cached_property
    def _ids(self) -> dict[tuple[int, ...], int]:
        return {piece: i + len(SPECIALS) + 1 for i, piece in enumerate(self.piece_list)}

    @cached_property
    def spec(self) -> TokenSpec:
        """Raises ConfigError before `fit`."""
        self.check_fitted()
        scaling = Scaling(kind="constant", location=self.config.location, scale=self.config.spread)
        fields: list[Field] = [
            symbol(TOKENS, self.vocabulary),
            real(OBSERVATION, self.config.observations, Role.GIVEN, scaling),
        ]
        if self.config.tasks:
            fields.append(symbol(TASK, Vocabulary(self.config.tasks), Role.GIVEN))
        return TokenSpec(tuple(fields))

    @property
    def coefficients(self) -> int:
        """Of a chunk."""
        return self.config.horizon * self.action_space.width

    @property
    def log_cell(self) -> float:
        """Log of the volume of raw actions that one step's levels stand for: nats plus this are of a density."""
        half = (np.asarray(self.config.high) - np.asarray(self.config.low)) / 2
        return float(np.log(half).sum() - len(half) * np.log(self.config.scale))

    @property
    def error_bound(self) -> NDArray[np.float64]:
        """(A,) root mean square over a chunk by which actions may come back changed, levels that are cut off aside:
        rounding moves each coefficient by at most half a level, and the transform keeps lengths."""
        half = (np.asarray(self.config.high) - np.asarray(self.config.low)) / 2
        bound: NDArray[np.float64] = 0.5 / self.config.scale * half * (1 + 1e-6)
        return bound

    def units(self, arrays: Mapping[str, Array]) -> NDArray[np.float64]:
        """A piece stands for as many steps as it has levels, over the numbers of an action."""
        levels = np.concatenate([[0], [len(piece) for piece in self.piece_list], [0] * len(self.config.extension)])
        ids = np.clip(arrays[TOKENS].astype(np.int64) - len(SPECIALS), 0, len(levels) - 1)
        found: NDArray[np.float64] = levels[ids] / self.action_space.width
        return found

    def _cut(self, actions: Values) -> list[Values]:
        """Chunks (H, A), the last one maybe shorter."""
        return [actions[i : i + self.config.horizon] for i in range(0, len(actions), self.config.horizon)]

    def _coefficients(self, chunk: Values, low: Any, high: Any) -> NDArray[np.int64]:
        """(H, A) rounded, low frequencies first."""
        from scipy.fft import dct

        scaled = 2 * (chunk - low) / (np.asarray(high) - low) - 1
        found: NDArray[np.int64] = np.rint(self.config.scale * dct(scaled, axis=0, norm="ortho")).astype(np.int64)
        return found

    def levels_of(self, chunk: Values) -> NDArray[np.int64]:
        """(H, A) -> (H A,) levels, cut off at the learned ones."""
        found = self._coefficients(chunk, np.asarray(self.config.low), np.asarray(self.config.high))
        least, most = self.config.levels
        return found.clip(least, most).reshape(-1)

    def actions_of(self, levels: NDArray[np.int64]) -> Values:
        """(H A,) levels -> (H, A) actions, which rounding may have moved a little outside the space."""
        from scipy.fft import idct

        low, high = np.asarray(self.config.low), np.asarray(self.config.high)
        scaled = idct(levels.reshape(-1, len(low)) / self.config.scale, axis=0, norm="ortho")
        actions: Values = ((scaled + 1) / 2 * (high - low) + low).astype(np.float32).astype(np.float64)
        return actions

    def spell(self, levels: NDArray[np.int64]) -> list[int]:
        """Ids of the longest pieces from the left."""
        text, at, found = tuple(levels.tolist()), 0, []
        while at < len(text):
            for stop in range(min(len(text), at + self.config.longest), at, -1):
                if text[at:stop] in self._ids:
                    found.append(self._ids[text[at:stop]])
                    at = stop
                    break
        return found

    def rounded(self, observations: Values) -> Values:
        """One a chunk, and the last one; NaN between."""
        if self.needs_fit:
            return super().rounded(observations)
        kept = np.full(observations.shape, np.nan)
        whole = self.filled(observations).astype(np.float32).astype(np.float64)
        kept[:: self.config.horizon] = whole[:: self.config.horizon]
        return kept

    def canonical(self, record: Episode) -> Episode:
        """As it comes back: an observation and a reward a chunk. Raises RecordError as `read`."""
        one = super().canonical(record)
        if self.needs_fit:
            return one
        if one.has_final:
            last = self.filled(self.read(record).observations)[-1]
            one.observations[-1] = last.astype(np.float32)
        if np.isfinite(one.rewards).all():
            sums = np.add.reduceat(one.rewards, np.arange(0, len(one), self.config.horizon))
            one.rewards[:] = 0.0
            one.rewards[:: self.config.horizon] = sums.astype(np.float32)
        return one

    def rounded_actions(self, one: Episode) -> Values:
        """Through levels and back."""
        if self.needs_fit:
            return super().rounded_actions(one)
        return np.concatenate([self.actions_of(self.levels_of(chunk)) for chunk in self._cut(one.actions)])

    def read(self, record: Episode) -> Episode:
        """Raises RecordError also for an episode without actions."""
        one = super().read(record)
        if np.isnan(one.actions).all():
            refuse(one, "no_actions", "has no actions, of which chunks are made")
        return one

    def encode(self, record: Episode) -> Sequence:
        """Raises RecordError as `read`."""
        one = self.read(record)
        self.check_fitted()
        ids: list[int] = []
        seen: list[int] = []
        rewards = np.nan_to_num(one.rewards)
        reward: list[float] = []
        for number, chunk in enumerate(self._cut(one.actions)):
            start = number * self.config.horizon
            spelled = self.spell(self.levels_of(chunk))
            ids += [len(SPECIALS), *spelled]
            seen += [start, *([-1] * len(spelled))]
            gained = rewards[start : start + self.config.horizon].astype(np.float32).astype(np.float64)
            reward += [float(gained.sum()), *([0.0] * len(spelled))]
        if one.has_final:
            ids.append(len(SPECIALS))
            seen.append(len(one))
            reward.append(0.0)
        which = np.array(seen)
        values = self.filled(one.observations)[np.clip(which, 0, None)]
        there = ~np.isnan(values) & (which >= 0)[:, None]
        arrays: dict[str, Array] = {
            TOKENS: np.array(ids, self.vocabulary.dtype),
            OBSERVATION: np.where(there, values, 0).astype(np.float32),
        }
        observed = {OBSERVATION: there & ~np.asarray(self.config.constant, bool)}
        if self.config.tasks:
            vocabulary = Vocabulary(self.config.tasks)
            arrays[TASK] = np.full(len(ids), vocabulary.ids[one.task], vocabulary.dtype)
        labels = {REWARD: np.array(reward, np.float32)}
        return Sequence(arrays, one.id, observed, labels=self.labels(one), token_labels=labels)

    def decode(self, sequence: Sequence) -> Episode:
        """Rewards come back as the sum of each chunk, at its first step.

        Raises RecordError where the pieces of a chunk do not spell H times A levels.
        """
        ids = sequence.arrays[TOKENS].astype(np.int64) - len(SPECIALS)
        marks = np.flatnonzero(ids == 0)
        width, horizon = self.action_space.width, self.config.horizon
        chunks: list[Values] = []
        for mark, stop in zip(marks, [*marks[1:], len(ids)], strict=True):
            if stop == mark + 1:
                continue
            pieces = [i for i in ids[mark + 1 : stop].tolist() if 0 < i <= len(self.piece_list)]
            levels = [level for i in pieces for level in self.piece_list[i - 1]]
            if len(levels) % width or len(levels) > self.coefficients:
                raise RecordError(
                    "broken_chunk",
                    f"sequence '{sequence.id}': the chunk at token {mark} has {len(levels)} levels, "
                    f"expected {self.coefficients}, or fewer whole steps of {width}",
                    record=sequence.id,
                    position=int(mark),
                )
            chunks.append(self.actions_of(np.array(levels)))
        actions = np.concatenate(chunks) if chunks else np.zeros((0, width))
        steps = len(actions)
        final = bool(sequence.labels.get("has_final", len(marks) > len(chunks)))
        observations = np.full((steps + final, self.config.observations), np.nan)
        values, there = sequence.arrays[OBSERVATION].astype(np.float64), sequence.observed.get(OBSERVATION)
        if there is not None:
            values = np.where(there | np.asarray(self.config.constant, bool), values, np.nan)
        for number, mark in enumerate(marks[: len(chunks)].tolist()):
            observations[number * horizon] = values[mark]
        if final:
            observations[-1] = values[marks[-1]]
        rewards, got = sequence.token_labels.get(REWARD), np.full(steps, np.nan)
        if rewards is not None and sequence.labels.get("has_rewards", True):
            got = np.zeros(steps)
            got[::horizon] = np.asarray(rewards, np.float64)[marks[: len(chunks)]]
        return Episode.from_labels(sequence.id, observations, actions, got, self.labels_of(sequence))
