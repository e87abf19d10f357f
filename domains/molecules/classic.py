"""What chemists regress on: counts of Morgan fragments, for the baselines beside fine-tuned models."""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.sequence import Sequence
from core.tokenizer import Tokenizer


def morgan_features(sequences: Many[Sequence], tokenizer: Tokenizer[Any]) -> tuple[str, NDArray[np.float64]]:
    """`morgan` and (N, 2048) log counts of fragments up to two bonds wide (Rogers and Hahn 2010)."""
    from domains.molecules.evaluation.fingerprints import counts
    from domains.molecules.evaluation.stored import smiles_of
    from domains.molecules.parsing import parse

    return "morgan", np.log1p(counts([parse(smiles_of(sequence, tokenizer)) for sequence in sequences]))
