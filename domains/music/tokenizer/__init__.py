"""How music becomes tokens: voices on a grid, events together or by track, characters of ABC, or bytes."""

from domains.music.tokenizer.abc import AbcConfig, AbcTokenizer
from domains.music.tokenizer.bytes import BytesConfig, BytesTokenizer
from domains.music.tokenizer.grid import GridConfig, GridTokenizer
from domains.music.tokenizer.remi import RemiConfig, RemiTokenizer, TracksTokenizer
from domains.music.tokenizer.translation import TranslationConfig, TranslationTokenizer

__all__ = [
    "AbcConfig",
    "AbcTokenizer",
    "BytesConfig",
    "BytesTokenizer",
    "GridConfig",
    "GridTokenizer",
    "RemiConfig",
    "RemiTokenizer",
    "TracksTokenizer",
    "TranslationConfig",
    "TranslationTokenizer",
]
