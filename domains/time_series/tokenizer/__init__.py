"""How a series becomes tokens: patches of real values (of all channels, or channel by channel), bins, or digits."""

from domains.time_series.tokenizer.bins import BinsConfig, BinsTokenizer
from domains.time_series.tokenizer.digits import DigitsConfig, DigitsTokenizer
from domains.time_series.tokenizer.flatten import FlattenTokenizer
from domains.time_series.tokenizer.patch import PatchConfig, PatchTokenizer

__all__ = [
    "BinsConfig",
    "BinsTokenizer",
    "DigitsConfig",
    "DigitsTokenizer",
    "FlattenTokenizer",
    "PatchConfig",
    "PatchTokenizer",
]
