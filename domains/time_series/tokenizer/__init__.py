"""How a series becomes tokens: patches of real values, bins, or digits."""

from domains.time_series.tokenizer.bins import BinsConfig, BinsTokenizer
from domains.time_series.tokenizer.digits import DigitsConfig, DigitsTokenizer
from domains.time_series.tokenizer.patch import PatchConfig, PatchTokenizer

__all__ = ["BinsConfig", "BinsTokenizer", "DigitsConfig", "DigitsTokenizer", "PatchConfig", "PatchTokenizer"]
