"""Weights of a model for a token that has grown since: more symbols, wider real fields, further fields.

All that the smaller token had keeps its weights. What is new is read with zeros, so that a grown model says at first of
the old channels exactly what it said before, and learns to look at the new ones; a new symbol is an average one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import combinations_with_replacement, product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.errors import ConfigError
from core.nn.by_field import attribute_of
from core.nn.readout import RealReadout
from core.sequence import Field, TokenSpec
from core.vocabulary import SPECIALS

if TYPE_CHECKING:
    from core.nn.model import SequenceModel

Labels = list[Hashable]


def grown_weights(start: Mapping[str, Tensor], old: TokenSpec | None, model: SequenceModel) -> dict[str, Tensor]:
    """`start`, which is of a model of `old`, with what its token lacked of `model`'s.

    Weights whose shapes have not changed stay as they are; so do those that do not belong to a channel.

    Args:
        old: None for another library's: one field of symbols.
        model: of the grown token, with its first weights.

    Raises ConfigError for new symbols beside n-gram embeddings, whose rows are found by the size of the vocabulary.
    """
    weights, mine = dict(start), model.state_dict()
    for field in model.spec.fields:
        embedding = f"embed.fields.{attribute_of(field.name)}"
        readout = f"readouts.{attribute_of(field.name)}"
        if old is not None and field.name not in old.names:
            weights |= {name: torch.zeros_like(w) for name, w in mine.items() if name.startswith(f"{embedding}.")}
            weights |= {name: w for name, w in mine.items() if name.startswith(f"{readout}.")}
        elif field.is_symbol:
            weights |= _with_new_symbols(start, mine, (f"{embedding}.weight", f"{readout}.proj.weight"))
        elif old is not None and old[field.name].width < field.width and not field.by_channel:
            both, name = (old[field.name], field), f"{embedding}.proj.weight"
            if name in mine:
                columns = [_columns(one, model.spec.patch, model.config.products) for one in both]
                weights[name] = _placed(start[name], torch.zeros_like(mine[name]), *columns, dim=1)
            for name in (f"{readout}.proj.weight", f"{readout}.proj.bias"):
                if name in mine:
                    rows = [_rows(one, model, len(w[name])) for one, w in zip(both, (start, mine), strict=True)]
                    weights[name] = _placed(start[name], mine[name], *rows, dim=0)
    return weights


def _with_new_symbols(
    start: Mapping[str, Tensor], mine: Mapping[str, Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Rows for the symbols that `start` lacks: the mean of the data symbols' rows and the small first weights that the
    model gave them, so that no two are the same."""
    grown = {}
    for name in names:
        before, new = start.get(name), mine.get(name)
        if before is None or new is None or len(before) >= len(new):
            continue
        if any(".ngrams." in key for key in mine):
            raise ConfigError(
                f"init_from: a model with n-grams cannot get {len(new) - len(before)} new symbols: its n-grams "
                "are numbered by the size of the vocabulary",
                hint="Start from a model without model.ngrams, or train anew.",
            )
        weight = new.clone()
        weight[len(before) :] += before[len(SPECIALS) :].mean(0)
        weight[: len(before)] = before
        grown[name] = weight
    return grown


def _placed(old: Tensor, new: Tensor, old_labels: Labels, new_labels: Labels, *, dim: int) -> Tensor:
    """`new` with `old` wherever their labels along `dim` are the same."""
    where = {label: i for i, label in enumerate(new_labels)}
    index = torch.tensor([where[label] for label in old_labels], device=new.device)
    return new.index_copy(dim, index, old.to(new))


def _columns(field: Field, patch: int, products: int) -> Labels:
    """What the inputs of `core.nn.embed.RealEmbedding` are, in its order; of the values in that of a `Framing`."""
    values = list(product(range(patch), range(field.delays), range(field.width)))
    running = field.scaling is not None and field.scaling.kind == "running"
    drifts = product(("location", "scale"), range(field.width)) if running else ()
    degree = products if field.is_target else 1
    several = [c for d in range(2, degree + 1) for c in combinations_with_replacement(values, d)]
    return [*(("value", v) for v in values), *(("missing", v) for v in values), "start", *drifts, *several]


def _rows(field: Field, model: SequenceModel, rows: int) -> Labels:
    """What the outputs of a real readout's projection are, in its order."""
    readout = model.readouts[field.name]
    assert isinstance(readout, RealReadout)
    components = list(product(range(model.spec.patch), range(field.width)))
    parts = range(rows // len(components))
    if readout.by_component:
        return [(part, component) for component in components for part in parts]
    return [(part, component) for part in parts for component in components]
