"""Frechet ChemNet distance (Preuer et al. 2018): how far apart two sets of molecules are to a network that was trained
to predict bioassays.

The published weights come with the package fcd_torch and are loaded as plain tensors. Inputs are one-hot SMILES, padded
to 350 characters and divided by 35, as the network was converted. Not for molecules of more than 349 characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError

WIDTH, PADDED = 512, 350
SYMBOLS = (
    "C", "N", "O", "H", "F", "Cl", "P", "B", "Br", "S", "I", "Si", "#", "(", ")", "+", "-", "1", "2", "3", "4", "5",
    "6", "7", "8", "=", "[", "]", "@", "c", "n", "o", "s", "X", ".",
)  # fmt: skip
"""X is any other; the dot ends a molecule."""
_IDS = {symbol: number for number, symbol in enumerate(SYMBOLS)}
_PART = re.compile(".[ril]|.")
_BATCH = 256


def is_there() -> bool:
    """Whether fcd_torch is installed."""
    return find_spec("fcd_torch") is not None


def activations(smiles: Sequence[str]) -> NDArray[np.float64]:
    """(N, 512) of canonical SMILES: 8 ms each on one core.

    Raises ConfigError where fcd_torch is not installed.
    """
    import torch

    network = _network()
    found = np.zeros((len(smiles), WIDTH))
    with torch.inference_mode():
        for start in range(0, len(smiles), _BATCH):
            hot = torch.from_numpy(one_hot(smiles[start : start + _BATCH]))
            found[start : start + _BATCH] = network(hot.transpose(1, 2)).numpy()
    return found


def one_hot(smiles: Sequence[str]) -> NDArray[np.float32]:
    """(N, 350, 35), a symbol a row, the last one the dot; each 1 is 1 / 35. Of a salt the first part is read, as
    fcd_torch does, whose network knows a dot as an end."""
    hot = np.zeros((len(smiles), PADDED, len(SYMBOLS)), np.float32)
    for row, text in zip(hot, smiles, strict=True):
        symbols = [*_PART.findall(text.partition(".")[0])[: PADDED - 1], "."]
        row[np.arange(len(symbols)), [_IDS.get(s, _IDS["X"]) for s in symbols]] = 1 / len(SYMBOLS)
    return hot


def frechet_distance(
    mean_a: NDArray[np.float64],
    covariance_a: NDArray[np.float64],
    mean_b: NDArray[np.float64],
    covariance_b: NDArray[np.float64],
) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)); the root's trace comes from the eigenvalues of C_a C_b, which
    are those of a positive semidefinite matrix.
    """
    values = np.linalg.eigvals(covariance_a @ covariance_b)
    root = np.sqrt(np.clip(values.real, 0, None)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(covariance_a) + np.trace(covariance_b) - 2 * root)


@cache
def _network() -> Any:
    import torch

    if not is_there():
        raise ConfigError(
            "the Frechet ChemNet distance needs fcd_torch",
            hint="pip install 'foretell[chem]', or evaluation.fcd=false.",
        )
    from fcd_torch.utils import load_imported_model

    spec = find_spec("fcd_torch")
    assert spec is not None
    assert spec.origin is not None
    weights = torch.load(
        Path(spec.origin).with_name("ChemNet_v0.13_pretrained.pt"), map_location="cpu", weights_only=True
    )
    return load_imported_model(weights).eval()
