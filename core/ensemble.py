"""Several trained models as one: their probabilities are averaged, and so are their forecasts.

    engine = Ensemble([load_bundle(path).model for path in runs])

As far as models of different seeds err independently, their mean errs less (Lakshminarayanan et al., arXiv 1612.01474);
its loss is never above the mean of their losses. The price is as many passes as there are members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Many
from itertools import tee
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from core.decoding.roll_out import Forecast, RollOut
from core.decoding.together import Together
from core.engine import Engine
from core.errors import ConfigError
from core.nn.model import SequenceModel
from core.sequence import Sequence
from core.window_policy import Stretch, WindowPolicy


class Ensemble(Engine):
    """An `Engine` of several models, which scores, forecasts and rolls out; `model` is the first of them.

    Args:
        models: of one tokenizer and one kind of readouts, at least one.
        options: those of `Engine`.

    Raises ConfigError for no model at all, and for models whose tokens or readouts differ. Nats of `mse` readouts are
    half squared errors, and their mean as if they were nats says little.
    """

    def __init__(self, models: Many[SequenceModel], **options: Any) -> None:
        if not models:
            raise ConfigError("an ensemble of no models")
        for model in models:
            if model.spec != models[0].spec:
                raise ConfigError("the models of an ensemble must read the same tokens: their fields or patches differ")
            if _kinds(model) != _kinds(models[0]):
                kinds = f"{_kinds(models[0])} and {_kinds(model)}"
                raise ConfigError(f"the models of an ensemble must have the same readouts, got {kinds}")
        super().__init__(models[0], **options)
        self.members = [Engine(model, **options) for model in models]

    def nats(
        self, sequences: Iterable[Sequence | Stretch], *, mode: str = "records", window: WindowPolicy | None = None
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """As `Engine.nats`, of the mean of the members' probabilities (densities of real values) at each position."""
        copies = tee(sequences, len(self.members))
        streams = [m.nats(copy, mode=mode, window=window) for m, copy in zip(self.members, copies, strict=True)]
        for found in zip(*streams, strict=True):
            yield {name: _nats_of_mean(np.stack([one[name] for one in found])) for name in found[0]}

    def next_symbols(
        self, sequence: Sequence, *, field: str | None = None, window: WindowPolicy | None = None
    ) -> NDArray[np.float32]:
        """As `Engine.next_symbols`, of the mean of the members' probabilities."""
        return -_nats_of_mean(-np.stack([m.next_symbols(sequence, field=field, window=window) for m in self.members]))

    def forecast(self, contexts: Iterable[Sequence], horizon: int, **options: Any) -> list[Forecast]:
        """As `Engine.forecast`: means and quantiles are the mean of the members', level by level.

        The mean of quantiles is as sharp as the members are; that of distributions would be wider (Lichtendahl,
        Grushka-Cockayne and Winkler 2013, Management Science 59:1594).
        """
        given = list(contexts)
        by_member = [member.forecast(given, horizon, **options) for member in self.members]
        return [
            Forecast(np.mean([f.mean for f in found], 0), found[0].levels, np.mean([f.quantiles for f in found], 0))
            for found in zip(*by_member, strict=True)
        ]

    @property
    def forecast_context(self) -> int:
        """Steps of a context that all members read."""
        return min(member.forecast_context for member in self.members)

    def _roll(self) -> RollOut:
        configs = [member.model.config for member in self.members]
        if len({(config.mixers, config.window) for config in configs}) > 1:
            raise ConfigError("models that are rolled out together must have the same layers and window of attention")
        together = Together([member.model for member in self.members])
        return RollOut(together, self.forecast_context, self._autocast, self._between, self.exact)

    def sample(self, *given: Any, **options: Any) -> NoReturn:
        """Raises ConfigError: see `_refused`."""
        self._refused("draw samples")

    def embed(self, *given: Any, **options: Any) -> NoReturn:
        """Raises ConfigError: see `_refused`."""
        self._refused("embed")

    def _refused(self, what: str) -> NoReturn:
        """What has no mean over members: draws of symbols, states."""
        raise ConfigError(
            f"{len(self.members)} models together do not {what}",
            hint="Take one of them; together they score, forecast and roll out.",
        )


def _kinds(model: SequenceModel) -> list[str]:
    return [type(readout).__name__ for readout in model.readouts.values()]


def _nats_of_mean(nats: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K, ...) nats -> (...) of the mean probability, NaN where the members have none."""
    with np.errstate(invalid="ignore"):
        total = np.logaddexp.reduce(-nats.astype(np.float64), axis=0)
    return (np.log(len(nats)) - total).astype(np.float32)
