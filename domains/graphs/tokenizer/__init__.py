"""Graphs to tokens and back: three walks over one alphabet."""

from domains.graphs.tokenizer.alphabet import Alphabet, Kind
from domains.graphs.tokenizer.edge_list import EdgesConfig, EdgesTokenizer
from domains.graphs.tokenizer.euler import EulerConfig, EulerTokenizer
from domains.graphs.tokenizer.sent import SentConfig, SentTokenizer
from domains.graphs.tokenizer.shared import GraphTokenizer

__all__ = [
    "Alphabet",
    "EdgesConfig",
    "EdgesTokenizer",
    "EulerConfig",
    "EulerTokenizer",
    "GraphTokenizer",
    "Kind",
    "SentConfig",
    "SentTokenizer",
]
