"""The structures of core/kernels/native/decode.cpp for ctypes, field by field in its order."""

from __future__ import annotations

import ctypes
from typing import Any

POINTER, INT, REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


def _structure(name: str, *fields: tuple[Any, str]) -> Any:
    """Of (type, names) pairs."""
    pairs = [(each, kind) for kind, names in fields for each in names.split()]
    return type(name, (ctypes.Structure,), {"_fields_": pairs})


Matrix = _structure("Matrix", (POINTER, "panels"), (INT, "outputs inner"))
Ngrams = _structure("Ngrams", (INT, "orders letters"), (POINTER, "order size table"))
Layer = _structure(
    "Layer",
    (INT, "kind"),
    (Matrix, "in out x_proj dt_proj"),
    (POINTER, "conv_weight conv_bias dt_bias decay skip conv ssm qk_norm keys values"),
    (Matrix, "fc1 fc2"),
)
LINES = "x projected convolved low_rank steps mixed"
"""The buffers with a line of the same length for every row."""
Model = _structure(
    "Model",
    (INT, "threads large width vocabulary layers"),
    (REAL, "eps gated_eps"),
    (POINTER, "embedding"),
    (Ngrams, "ngrams"),
    (POINTER, "layer norm_f"),
    (Matrix, "readout"),
    (INT, "inner taps rank states1 states2 heads2 groups2 channels2 heads key_heads channels room"),
    (POINTER, "rotation"),
    (INT, "line logits_line scratch_line"),
    (POINTER, f"{LINES} logits scratch"),
)
Draws = _structure(
    "Draws",
    (INT, "rows length min_length"),
    (POINTER, "slot position tokens origin prefix uniforms nats masked ended"),
    (REAL, "temperature top_p min_p"),
    (INT, "top_k"),
    (POINTER, "banned banned_early allowed"),
)
