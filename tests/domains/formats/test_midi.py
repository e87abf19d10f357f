"""MIDI files: what is written is read back, and what is wrong is named with its track and byte."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, RecordError
from domains.formats.midi import parse_midi, read_midi
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score
from tests.domains.music.scores import NOTE, chorale, midi, pieces
from tests.tokenizer_kit import for_records


def test_a_chorale_is_read_as_it_was_written() -> None:
    score = chorale(0)
    (back,) = parse_midi(midi_bytes([score]), "made.mid")
    assert back.tpq == score.tpq
    assert (back.notes == score.notes).all()
    assert back.tracks == score.tracks
    assert back.id == "made"


def test_several_pieces_come_back_one_by_one() -> None:
    scores = [chorale(seed, name=f"piece{seed}") for seed in range(3)]
    back = parse_midi(midi_bytes(scores), "all.mid")
    assert [s.id for s in back] == ["piece0", "piece1", "piece2"]
    for mine, theirs in zip(scores, back, strict=True):
        assert (mine.notes == theirs.notes).all()


def test_metres_tempi_programs_and_drums_survive() -> None:
    def check(score: Score) -> None:
        (back,) = parse_midi(midi_bytes([score]), "x.mid")
        scale = back.tpq // score.tpq
        assert back.tpq == scale * score.tpq
        # Two notes of a pitch that overlap on one channel may exchange their ends: starts are what is certain.
        for columns in ([0, 2], [0, 2, 4, 6]):
            mine = score.notes[:, columns] * np.where(np.array(columns) == 0, scale, 1)
            mine = mine * np.where((np.array(columns) == 4) & (score.notes[:, 6:7] == 1), 0, 1)
            theirs = back.notes[:, columns] * np.where((np.array(columns) == 4) & (back.notes[:, 6:7] == 1), 0, 1)
            assert Counter(map(tuple, mine.tolist())) == Counter(map(tuple, theirs.tolist())) or 4 in columns
        assert (back.metres == score.metres * [scale, 1, 1]).all() if len(score.metres) else not len(back.metres)
        if len(score.tempos):
            assert (back.tempos == score.tempos * [scale, 1]).all()

    for_records(pieces(), check)


def test_ends_of_a_pitch_go_to_the_note_that_began_first() -> None:
    data = midi(b"\x00\x90\x3c\x40\x10\x90\x3c\x41\x10\x80\x3c\x00\x10\x80\x3c\x00")
    (score,) = parse_midi(data, "x.mid")
    assert score.notes[:, :4].tolist() == [[0, 32, 60, 64], [16, 32, 60, 65]]


def test_running_status_and_velocity_zero() -> None:
    (score,) = parse_midi(midi(b"\x00\x90\x3c\x40\x60\x3c\x00\x00\x3e\x40\x60\x3e\x00"), "x.mid")
    assert score.notes[:, :3].tolist() == [[0, 96, 60], [96, 96, 62]]


def test_format_2_gives_a_piece_a_track() -> None:
    track = NOTE + b"\x00\xff\x2f\x00"
    chunk = b"MTrk" + len(track).to_bytes(4, "big") + track
    data = b"MThd\x00\x00\x00\x06\x00\x02\x00\x02\x00\x60" + chunk + chunk
    assert [score.id for score in parse_midi(data, "two.mid")] == ["two.1", "two.2"]


def test_what_is_no_note_is_counted() -> None:
    counted: Counter[str] = Counter()
    parse_midi(midi(b"\x00\xb0\x40\x7f\x00\xb0\x07\x64\x00\xe0\x00\x40\x00\xf0\x02\x01\xf7" + NOTE), "x.mid", counted)
    assert counted == {
        "pedal changes left out": 1,
        "controller changes left out": 1,
        "pitch bends left out": 1,
        "system messages left out": 1,
    }


BAD = {
    "empty_file": b"",
    "not_midi": b"RIFF0000",
    "bad_header": b"MThd\x00\x00\x00\x06\x00",
    "bad_division": midi(NOTE, tpq=0),
    "smpte_division": midi(NOTE, tpq=0xE728),
    "no_notes": midi(b""),
    "bad_tempo": midi(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE),
    "bad_metre": midi(b"\x00\xff\x58\x04\x00\x02\x18\x08" + NOTE),
    "hanging_note": midi(b"\x00\x90\x3c\x40"),
    "note_off_without_on": midi(b"\x00\x80\x3c\x40" + NOTE),
    "no_end_of_track": midi(NOTE, end=False),
    "truncated": midi(NOTE)[:-3],
    "bad_event": midi(b"\x00\x3c\x40" + NOTE),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_wrong_is_named_with_file_and_byte(reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_midi(BAD[reason], "broken.mid")
    assert caught.value.reason == reason
    assert "broken.mid, byte" in caught.value.message
    assert caught.value.position is not None


@pytest.mark.parametrize(("where", "size"), [(21, 0xFF), (21, 2)])
def test_a_track_length_that_lies_is_named(where: int, size: int) -> None:
    data = bytearray(midi(NOTE))
    data[where] = size
    with pytest.raises(RecordError) as caught:
        parse_midi(bytes(data), "liar.mid")
    assert caught.value.reason in ("truncated", "bad_event", "hanging_note", "no_end_of_track")


def test_header_only_and_three_bytes_of_rubbish_behind_it() -> None:
    for data, reason in ((midi(NOTE)[:14], "no_notes"), (midi(NOTE)[:14] + b"abc", "truncated")):
        with pytest.raises(RecordError) as caught:
            parse_midi(data, "head.mid")
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "count"),
    [
        ("hanging_note", "notes that never end, ended with their track"),
        ("note_off_without_on", "ends of notes that never began"),
        ("no_end_of_track", "tracks without an end-of-track event"),
    ],
)
def test_repair_reads_and_counts(reason: str, count: str) -> None:
    counted: Counter[str] = Counter()
    data = BAD[reason] if reason != "hanging_note" else midi(b"\x00\x90\x3c\x40\x60\xff\x01\x00")
    (score,) = parse_midi(data, "x.mid", counted, repair=True)
    assert score.notes[:, :3].tolist() == [[0, 96, 60]]
    assert counted[count] == 1


def test_any_damage_is_a_refusal_and_nothing_else() -> None:
    """Every byte of a file changed, and every cut of it."""
    data = midi_bytes([chorale(1, 2)])
    rng = np.random.default_rng(0)
    for place in range(0, len(data), 3):
        for broken in (data[:place], data[:place] + bytes([int(rng.integers(256))]) + data[place + 1 :]):
            try:
                parse_midi(broken, "x.mid")
            except RecordError:
                continue


def test_nothing_cannot_be_written() -> None:
    with pytest.raises(InputError):
        midi_bytes([])


def test_symusic_reads_the_same(tmp_path: Path) -> None:
    symusic = pytest.importorskip("symusic")
    path = tmp_path / "x.mid"
    path.write_bytes(midi_bytes([chorale(2)]))
    theirs = sorted((n.time, n.duration, n.pitch, n.velocity) for t in symusic.Score(str(path)).tracks for n in t.notes)
    mine = sorted(map(tuple, read_midi(path)[0].notes[:, :4].tolist()))
    assert mine == theirs
