"""A model of one symbol field taken apart, and the way of each of its weights to another library's file and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.errors import ConfigError, IntegrityError
from core.interchange.family import Layout, Shape
from core.interchange.weights import StoredWeights
from core.nn.config import ModelConfig
from core.nn.model import Backbone, SequenceModel


@dataclass(frozen=True)
class Parts:
    config: ModelConfig
    embedding: Tensor
    """(V, D) float32."""
    readout: Tensor
    """(V, D) float32."""
    backbone: Mapping[str, Tensor]
    """By the names of `core.nn.model.Backbone`, float32."""

    def state_dict(self, field: str) -> dict[str, Tensor]:
        """The weights of a SequenceModel whose only field is called `field`."""
        return {
            f"embed.fields.{field}.weight": self.embedding,
            f"readouts.{field}.proj.weight": self.readout,
            **{f"backbone.{name}": weight for name, weight in self.backbone.items()},
        }


def reasons_against(model: SequenceModel) -> list[str]:
    """Why no class that reads one symbol a token can be this model; none where one can."""
    reasons = []
    for field in model.spec.fields:
        if not field.is_symbol:
            reasons.append(f"its field '{field.name}' is real")
    if len(model.spec.fields) > 1:
        reasons.append(f"its tokens have several fields ({', '.join(model.spec.names)})")
    for name, kind in model.readout_kinds.items():
        if kind != "categorical" and model.spec[name].is_symbol:
            reasons.append(f"its readout is '{kind}', not a plain softmax")
    if model.config.norm != "rms":
        reasons.append("it has no norms")
    if model.config.ngrams:
        reasons.append(f"it reads n-grams of orders {', '.join(map(str, model.config.ngrams))}")
    if len(set(model.config.mixers)) > 1:
        reasons.append(f"its layers are of different kinds ({model.config.mixers})")
    return reasons


def take_apart(model: SequenceModel) -> Parts:
    """Raises ConfigError for a model that is not of one symbol field."""
    field = model.spec.symbol_target.name
    weights = {name: tensor.detach().cpu().float() for name, tensor in model.state_dict().items()}
    backbone = {name.removeprefix("backbone."): w for name, w in weights.items() if name.startswith("backbone.")}
    parts = Parts(
        model.config, weights[f"embed.fields.{field}.weight"], weights[f"readouts.{field}.proj.weight"], backbone
    )
    if parts.state_dict(field).keys() != weights.keys():
        left = sorted(weights.keys() - parts.state_dict(field).keys())
        raise ConfigError(f"the model has weights that no class of another library has: {', '.join(left[:4])}")
    return parts


def to_theirs(parts: Parts, layout: Layout) -> dict[str, Tensor]:
    """Weights by their names, each with memory of its own."""
    found = {layout.embedding: parts.embedding, layout.readout: parts.readout}
    for ours, theirs in layout.places(parts.config.layers):
        whole = parts.backbone[ours]
        pieces = whole.split([rows for _, rows in theirs]) if len(theirs) > 1 else (whole,)
        found.update((name, piece) for (name, _), piece in zip(theirs, pieces, strict=True))
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def to_ours(stored: StoredWeights, shape: Shape, layout: Layout, config_file: Path) -> Parts:
    """The weights of a folder by our names.

    Raises IntegrityError where they are not those that its config describes, or hold values that are not finite.
    """
    source = {layout.older.get(name, name): name for name in stored.shapes if not name.endswith(layout.ignored)}
    wanted = _backbone_shapes(shape.config, len(stored.shapes), config_file)
    places = {ours: theirs for ours, theirs in layout.places(shape.config.layers) if not ours.endswith(shape.absent)}
    table: tuple[int, ...] = (shape.rows, shape.config.width)
    expected = {layout.embedding: table, layout.readout: table}
    for ours, theirs in places.items():
        expected |= {name: (rows, *wanted[ours][1:]) if rows else wanted[ours] for name, rows in theirs}
    if shape.tied and layout.readout not in source:
        del expected[layout.readout]
    for name in sorted(expected.keys() | source.keys()):
        want, have = expected.get(name), stored.shapes[source[name]] if name in source else None
        if want != have:
            raise IntegrityError(
                f"{config_file} and {stored.files[0].name} disagree on weight '{name}': "
                f"{want or 'not there'} and {have or 'not there'}",
                hint="Are both files of the same model, and whole?",
            )

    def read(name: str) -> Tensor:
        tensor = stored.tensor(source[name])
        if not tensor.is_floating_point():
            raise IntegrityError(f"{stored.files[0]}: weight '{name}' is of {tensor.dtype}, expected floats")
        if not bool(torch.isfinite(tensor).all()):
            raise IntegrityError(f"{stored.files[0]}: weight '{name}' holds values that are not finite")
        return tensor.float()

    embedding = read(layout.embedding)
    readout = read(layout.readout) if layout.readout in source else embedding
    if shape.tied and not torch.equal(embedding, readout):
        raise IntegrityError(f"{config_file} says that embedding and readout are one, but their weights differ")
    backbone = {
        name: torch.cat([read(their) for their, _ in places[name]]) if name in places else torch.zeros(wanted[name])
        for name in wanted
    }
    return Parts(shape.config, embedding[: shape.ids].clone(), readout[: shape.ids].clone(), backbone)


def _backbone_shapes(config: ModelConfig, tensors: int, config_file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of our backbone's weights, made without memory; a claim of more layers than tensors is refused."""
    if config.layers > tensors:
        raise IntegrityError(f"{config_file}: {config.layers:,} layers, but there are {tensors} tensors of weights")
    try:
        with torch.device("meta"):
            return {name: tuple(weight.shape) for name, weight in Backbone(config).state_dict().items()}
    except (RuntimeError, OverflowError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise IntegrityError(f"{config_file}: no model can have this shape: {said}") from error
