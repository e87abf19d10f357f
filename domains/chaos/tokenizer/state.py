"""States as they are: one vector of real values a step (`chaos_state`), or with delays (`chaos_delay`).

Location, scale and the size of a step's change are learned per channel from the training split and applied by the
model. With `residual`, which is the default, the model predicts the change: the attractor is hundreds of steps wide, so
that an error of one part in a thousand of a step is one in 10^5 of the state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError, nearest
from core.scaling import Scaling
from core.sequence import Sequence, TokenSpec, real
from domains.chaos.source.trajectory import Trajectory, Values
from domains.chaos.tokenizer.shared import ChaosConfig, ChaosTokenizer, check_whole

SCALINGS = ("constant", "running")
FIELD = "values"


@dataclass(frozen=True)
class StateConfig(ChaosConfig):
    """Of `chaos_state`."""

    patch: int = 1
    """Steps that the model reads and predicts as one token."""
    residual: bool = True
    """Whether the model predicts the change from the last value instead of the value."""
    scaling: str = "constant"
    """`constant`: learned from the training split; `running`: of what precedes, for systems never seen."""
    location: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    residual_scale: tuple[float, ...] = ()
    """Learned: per channel mean, standard deviation, and root mean square of the change; the last one for every step of
    a patch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("patch", self.patch, 1)
        if not isinstance(self.residual, bool):
            raise ConfigError(f"tokenizer.residual: got {self.residual!r}, allowed: true, false")
        if self.scaling not in SCALINGS:
            raise ConfigError(
                f"tokenizer.scaling: got {self.scaling!r}{nearest(str(self.scaling), SCALINGS)}",
                hint=f"Allowed: {', '.join(SCALINGS)}.",
            )
        if self.extension:
            raise ConfigError("tokenizer.extension: tokens that are real values have no symbols to add to")


class StateTokenizer(ChaosTokenizer[StateConfig]):
    """One real vector a step."""

    kind: ClassVar[str] = "chaos_state"
    config_class: ClassVar[type[StateConfig]] = StateConfig
    remedies: ClassVar[dict[str, str]] = {
        "wrong_channels": "With tokenizer_from= the key tokenizer_grows=true adds channels behind those that are known."
    }

    def __init__(self, config: StateConfig | None = None) -> None:
        super().__init__(config or self.config_class())

    @property
    def needs_fit(self) -> bool:
        return self.config.channels == 0 or (self.config.scaling == "constant" and not self.config.scale)

    def fit(self, train_records: Iterable[Trajectory]) -> Self:
        """A tokenizer with the training records' constants; itself where it has them. Raises RecordError."""
        if not self.needs_fit:
            return self
        values = [one.values for one in self.readable(train_records)]
        learned: dict[str, Any] = {"channels": values[0].shape[1]}
        if self.config.scaling == "constant":
            whole = np.concatenate(values)
            scale = _positive(np.nanstd(whole, axis=0), np.nanmean(np.abs(whole), axis=0))
            changes = _changes(values, self.config.patch)
            learned |= {
                "location": tuple(np.nanmean(whole, axis=0).tolist()),
                "scale": tuple(scale.tolist()),
                "residual_scale": tuple(_positive(changes, scale).reshape(-1).tolist()),
            }
        if self.before is not None:
            learned = self._kept(self.before.config, learned)
        return self._fitted(replace(self.config, **learned))

    def growing(self) -> Self:
        """Further channels stand behind those that it has, whose constants stay."""
        return self._growing(channels=0)

    def _kept(self, old: StateConfig, learned: dict[str, Any]) -> dict[str, Any]:
        """`learned` of all channels, with what `old` has of the first ones."""
        if learned["channels"] < old.channels:
            raise ConfigError(
                f"tokenizer_grows: records have {learned['channels']} channels, fewer than the {old.channels} before",
                hint="The first channels must be those that the model knows, in their order.",
            )

        def joined(key: str) -> tuple[float, ...]:
            both = [
                np.reshape(values, (-1, n))
                for values, n in ((getattr(old, key), old.channels), (learned[key], learned["channels"]))
            ]
            return tuple(np.concatenate([both[0], both[1][:, old.channels :]], axis=1).reshape(-1).tolist())

        constants = [key for key in ("location", "scale", "residual_scale") if key in learned]
        return {**learned, **{key: joined(key) for key in constants}}

    @cached_property
    def spec(self) -> TokenSpec:
        """Raises ConfigError before `fit`."""
        config = self.config
        if self.needs_fit:
            raise ConfigError(f"tokenizer {self.kind} has not learned its constants yet", hint="Call fit first.")
        if config.scaling == "constant":
            scaling = Scaling(
                kind="constant",
                location=config.location,
                scale=config.scale,
                residual=config.residual,
                residual_scale=config.residual_scale if config.residual else (),
            )
        else:
            scaling = Scaling(kind="running", residual=config.residual)
        return TokenSpec((self._field(scaling),), patch=config.patch)

    def _field(self, scaling: Scaling) -> Any:
        return real(FIELD, self.config.channels, scaling=scaling)

    def rounded(self, values: Values) -> Values:
        return values.astype(np.float32).astype(np.float64)

    def encode(self, record: Trajectory) -> Sequence:
        """Missing values are 0 and not observed. Raises RecordError as `read`."""
        one = self.read(record)
        seen = ~np.isnan(one.values)
        values = np.where(seen, one.values, 0).astype(np.float32)
        return Sequence({FIELD: values}, one.id, {} if seen.all() else {FIELD: seen}, labels=one.labels())

    def decode(self, sequence: Sequence) -> Trajectory:
        values = sequence.arrays[FIELD].astype(np.float64)
        if FIELD in sequence.observed:
            values = np.where(sequence.observed[FIELD], values, np.nan)
        return Trajectory.from_labels(sequence.id, values, sequence.labels)


@dataclass(frozen=True)
class DelayConfig(StateConfig):
    """Of `chaos_delay`. The usual m and tau are those of PhyxMamba (arXiv 2505.23863) for three observed channels."""

    delays: int = 4
    """m: how many values of each channel are read at once, the present one among them (Takens 1981)."""
    lag: int = 2
    """tau: steps from one of them to the next."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("delays", self.delays, 1)
        check_whole("lag", self.lag, 1)


class DelayTokenizer(StateTokenizer):
    """One real vector a step, read with its past as a delay embedding."""

    kind: ClassVar[str] = "chaos_delay"
    config_class: ClassVar[type[DelayConfig]] = DelayConfig

    def _field(self, scaling: Scaling) -> Any:
        config = self.config
        assert isinstance(config, DelayConfig)
        return real(FIELD, config.channels, scaling=scaling, delays=config.delays, lag=config.lag)


def _changes(series: list[Values], patch: int) -> NDArray[np.float64]:
    """(patch, C) root mean square of the change over 1 to `patch` steps; NaN where no series is long enough."""
    found = np.full((patch, series[0].shape[1]), np.nan)
    for ahead in range(1, patch + 1):
        parts = [(values[ahead:] - values[:-ahead]) ** 2 for values in series if len(values) > ahead]
        whole = np.concatenate(parts) if parts else np.zeros((0, series[0].shape[1]))
        seen = ~np.isnan(whole)
        count = seen.sum(axis=0)
        sums = np.where(seen, whole, 0).sum(axis=0)
        found[ahead - 1] = np.sqrt(np.divide(sums, count, out=np.full(len(sums), np.nan), where=count > 0))
    return found


def _positive(values: NDArray[np.float64], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` where they are positive numbers, else `otherwise`, else 1: a constant channel has a scale too."""
    with np.errstate(invalid="ignore"):
        fallback = np.where(otherwise > 0, otherwise, 1.0)
        return np.where(values > 0, values, np.broadcast_to(fallback, values.shape))
