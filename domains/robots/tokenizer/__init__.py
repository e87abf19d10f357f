"""Episodes as tokens: a vector a step, a bin a number, or chunks of actions in the cosine transform."""

from domains.robots.tokenizer.chunks import ChunksConfig, ChunksTokenizer
from domains.robots.tokenizer.components import ComponentsConfig, ComponentsTokenizer
from domains.robots.tokenizer.continuous import ContinuousConfig, ContinuousTokenizer

__all__ = [
    "ChunksConfig",
    "ChunksTokenizer",
    "ComponentsConfig",
    "ComponentsTokenizer",
    "ContinuousConfig",
    "ContinuousTokenizer",
]
