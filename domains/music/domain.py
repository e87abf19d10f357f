"""What music says of itself to the registry: names and places only, nothing is imported here."""

from __future__ import annotations

from domains import Domain

DOMAIN = Domain(
    name="music",
    summary="scores and tunes (MIDI, MusicXML, ABC), as voices on a grid, events of tracks, or letters of ABC",
    natural_unit="note",
    tokenizers={
        "music_grid": "domains.music.tokenizer:GridTokenizer",
        "music_remi": "domains.music.tokenizer:RemiTokenizer",
        "music_tracks": "domains.music.tokenizer:TracksTokenizer",
        "music_abc": "domains.music.tokenizer:AbcTokenizer",
        "music_abc_bpe": "domains.music.tokenizer:AbcPieceTokenizer",
        "music_remi_bpe": "domains.music.tokenizer:RemiPieceTokenizer",
        "music_tracks_bpe": "domains.music.tokenizer:TracksPieceTokenizer",
        "music_bytes": "domains.music.tokenizer:BytesTokenizer",
        "music_abc_to_midi": "domains.music.tokenizer:TranslationTokenizer",
    },
    default_tokenizer="music_grid",
    source="domains.music.source:open_source",
    text_row="domains.music.source.rows:tune_row",
    writer="domains.music.source:write_samples",
    suffix=".mid",
    endings=(".midi", ".wav"),
    data_module="domains.music.data:open_data",
    evaluation="domains.music.evaluation:evaluate",
    figures="domains.music.figures",
    fill="domains.music.prompts:fill_part",
    keys={
        "data": "domains.music.source.records:SourceConfig",
        "evaluation": "domains.music.evaluation:EvaluationConfig",
    },
    datasets={
        "chorales": "406 four-part chorales of Bach; settings of one melody stay together",
        "folk": "fiddle tunes in ABC of three collections; melodies alike stay together",
        "ryan": "1,059 of them, of Ryan's Mammoth Collection",
        "oneill": "those of O'Neill's Music of Ireland",
        "openttd": "31 MIDI files with drums and many instruments, of a game's music",
    },
    example="foretell prepare domain=music data.path=pieces/ tokenizer=music_remi data.repair=true store=pieces.zarr",
)
