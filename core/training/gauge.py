"""What a loss is shown as: bits per natural unit where it is a likelihood, else the loss per natural unit as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.nn.model import SequenceModel
from core.nn.readout import RealReadout


@dataclass(frozen=True)
class Gauge:
    natural_unit: str
    """In the singular: "base", "step"."""
    units_per_token: float
    """Natural units that a predicted token stands for, on average."""
    nats: bool = True
    """Whether the loss is nats per predicted token; squared errors and pinball losses are not."""

    @classmethod
    def of(cls, model: SequenceModel, natural_unit: str, units_per_token: float) -> Gauge:
        real = [readout for readout in model.readouts.modules() if isinstance(readout, RealReadout)]
        return cls(natural_unit, units_per_token, all(readout.loss_is_nats for readout in real))

    @property
    def words(self) -> str:
        """`bits per base`, `loss per step`."""
        return f"{'bits' if self.nats else 'loss'} per {self.natural_unit}"

    @property
    def column(self) -> str:
        """Of a validation in metrics.csv and in a bundle's metrics: `val_bits_per_base`, `val_loss_per_step`."""
        return f"val_{self.words.replace(' ', '_')}"

    def __call__(self, loss: float | None) -> float:
        """Loss per predicted token -> what is shown; NaN for None."""
        if loss is None:
            return math.nan
        return loss / self.units_per_token / (math.log(2) if self.nats else 1)
