"""Trajectories as tokens: real vectors (`chaos_state`, `chaos_delay`), bins, or the integers that they are."""

from domains.chaos.tokenizer.bins import BinsConfig, BinsTokenizer
from domains.chaos.tokenizer.state import DelayConfig, DelayTokenizer, StateConfig, StateTokenizer
from domains.chaos.tokenizer.symbols import SymbolsConfig, SymbolsTokenizer

__all__ = [
    "BinsConfig",
    "BinsTokenizer",
    "DelayConfig",
    "DelayTokenizer",
    "StateConfig",
    "StateTokenizer",
    "SymbolsConfig",
    "SymbolsTokenizer",
]
