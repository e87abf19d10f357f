"""How music becomes tokens: voices on a grid, events together or by track, characters of ABC, pieces of both, bytes."""

from domains.music.tokenizer.abc import AbcTokenizer
from domains.music.tokenizer.bytes import BytesConfig, BytesTokenizer
from domains.music.tokenizer.grid import GridConfig, GridTokenizer
from domains.music.tokenizer.pieces import (
    AbcPieceTokenizer,
    EventPiecesConfig,
    PiecesConfig,
    RemiPieceTokenizer,
    TracksPieceTokenizer,
)
from domains.music.tokenizer.remi import RemiConfig, RemiTokenizer, TracksTokenizer
from domains.music.tokenizer.translation import TranslationConfig, TranslationTokenizer

__all__ = [
    "AbcPieceTokenizer",
    "AbcTokenizer",
    "BytesConfig",
    "BytesTokenizer",
    "EventPiecesConfig",
    "GridConfig",
    "GridTokenizer",
    "PiecesConfig",
    "RemiConfig",
    "RemiPieceTokenizer",
    "RemiTokenizer",
    "TracksPieceTokenizer",
    "TracksTokenizer",
    "TranslationConfig",
    "TranslationTokenizer",
]
