"""Several channels, each a token of its own: Timer-XL's flattened form (arXiv 2410.04803).

A series of C channels is read as C tokens a patch, side by side. Variable and time are given to the model: a learned
vector for the variable, rotary positions for the time. Its attention sees all variables at all earlier times and each
is scaled by its own past. The store is that of `ts_patch` with data.channels=together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from core.sequence import Field
from domains.time_series.tokenizer.patch import PatchTokenizer


class FlattenTokenizer(PatchTokenizer):
    """One real target field `values` that is read channel by channel, `patch` steps of one channel a token."""

    kind: ClassVar[str] = "ts_flatten"

    def target_field(self) -> Field:
        return replace(super().target_field(), by_channel=True)
