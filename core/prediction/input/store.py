"""Rows of a token store, as they were prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.prediction.input import EncodedRows
from core.sequence import TokenSpec
from core.store import TokenStore


@dataclass(frozen=True)
class StoreInput:
    """An open token store as an input."""

    store: TokenStore

    @property
    def path(self) -> Path:
        return self.store.path

    @property
    def spec(self) -> TokenSpec:
        return self.store.spec

    @property
    def tokenizer(self) -> Mapping[str, Any]:
        return self.store.tokenizer

    @property
    def pairs(self) -> NDArray[np.int64]:
        return self.store.pairs

    @property
    def row_tokens(self) -> int:
        return self.store.n_tokens // max(1, len(self.store))

    @property
    def identity(self) -> dict[str, Any]:
        return {"fingerprint": self.store.fingerprint, "rows": len(self.store), "tokens": self.store.n_tokens}

    def __len__(self) -> int:
        return len(self.store)

    def read(self, start: int, stop: int) -> EncodedRows:
        offsets = self.store.offsets[start : stop + 1]
        tokens = self.store.read(int(offsets[0]), int(offsets[-1]))
        return EncodedRows(tokens, offsets - offsets[0], list(self.store.ids[start:stop]))
