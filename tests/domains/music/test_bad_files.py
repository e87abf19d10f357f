"""Every kind of bad file of music through `foretell prepare`, beside good ones: what is said of it, what is kept."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.store import TokenStore
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import Score, in_order
from tests.conftest import foretell_cli
from tests.domains.music.scores import NOTE, TUNE, chorale, midi

GOOD = midi_bytes([chorale(0, 4)])
XML = (
    b'<score-partwise><part-list><score-part id="P1"><part-name>A</part-name></score-part></part-list><part id="P1">'
    b"<measure><attributes><divisions>1</divisions></attributes><note><pitch><step>C</step><octave>4</octave></pitch>"
    b"<duration>4</duration></note></measure></part></score-partwise>"
)


@dataclass(frozen=True)
class Case:
    """A file, and what `rejects.jsonl` says of it; without a reason, what the data report counts."""

    name: str
    data: bytes
    reason: str = ""
    says: str = ""
    """A part of the message that tells which event, tune or member it is."""
    tokenizer: str = "music_remi"


def packed(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def misplaced() -> bytes:
    """An archive that says that its directory begins after its end."""
    data = bytearray(packed("score.xml", XML))
    end = data.rindex(b"PK\x05\x06")
    data[end + 12 : end + 16] = (len(data) + 3).to_bytes(4, "little")
    return bytes(data)


MISPLACED = misplaced()


def tune(body: str) -> bytes:
    return (TUNE + "\nX:2\n" + body + "\n").encode("latin-1")


CASES = {
    "empty": Case("bad.mid", b"", "empty_file", "is empty"),
    "header only": Case("bad.mid", midi(NOTE)[:14], "no_notes", "byte 14: has a header and no track"),
    "a track length that lies": Case(
        "bad.mid", midi(NOTE)[:18] + (99).to_bytes(4, "big") + midi(NOTE)[22:], "truncated", "says it has 99 bytes"
    ),
    "0 ticks a quarter": Case("bad.mid", midi(NOTE, tpq=0), "bad_division", "byte 12: has 0 ticks"),
    "film frames": Case("bad.mid", midi(NOTE, tpq=0xE728), "smpte_division", "byte 12: counts time in film frames"),
    "a hanging note": Case(
        "bad.mid", midi(NOTE + b"\x00\x90\x40\x50"), "hanging_note", "track 1: pitch 64 of channel 1 begins at tick 96"
    ),
    "an end without a begin": Case(
        "bad.mid", midi(NOTE + b"\x00\x80\x40\x00"), "note_off_without_on", "track 1, tick 96: pitch 64 of channel 1"
    ),
    "no end of track": Case("bad.mid", midi(NOTE, end=False), "no_end_of_track", "track 1 has no end-of-track"),
    "truncated": Case("bad.mid", GOOD[:-30], "truncated", "a track says it has"),
    "tempo 0": Case("bad.mid", midi(b"\x00\xff\x51\x03\0\0\0" + NOTE), "bad_tempo", "track 1, tick 0: a quarter note"),
    "a metre of 0": Case("bad.mid", midi(b"\x00\xff\x58\x04\0\2\x18\x08" + NOTE), "bad_metre", "track 1, tick 0"),
    "a metre that has no symbol": Case(
        "bad.mid", midi(b"\x00\xff\x58\x04\x11\2\x18\x08" + NOTE), "unsupported_metre", "17/4"
    ),
    "a piece without notes": Case("bad.mid", midi(b""), "no_notes", "has no notes"),
    "a pitch that no voice sings": Case(
        "bad.mid", midi_bytes([Score("x", 96, in_order([[0, 96, 60, 80, 0, 0, 0], [96, 96, 20, 80, 0, 0, 0]]))]),
        "pitch_range", "note 2: G#0 is outside of A1 to E6", "music_grid",
    ),
    "an .mxl that leads out": Case("bad.mxl", packed("../score.xml", XML), "unsafe_container", "'../score.xml' leads"),
    "an .mxl with a false place of its directory": Case("bad.mxl", MISPLACED, "damaged_container", "no sound .mxl"),
    "a bomb": Case("bad.mxl", packed("score.xml", bytes(65 * 2**20)), "unsafe_container", "would unpack to 68,157,440"),
    "XML with entities": Case(
        "bad.xml", b'<!DOCTYPE s [<!ENTITY a "b">]>' + XML, "unsafe_xml", "declares entities"
    ),
    "a tune without K:": Case("bad.abc", tune("M:4/4\nL:1/8\nABc"), "no_key", "'bad.2' has no K: field", "music_abc"),
    "a pitch that MIDI lacks": Case("bad.abc", tune("K:C\nA C,,,,,,,"), "pitch_range", "outside", "music_abc"),
    "a tune in Latin-1": Case(
        "bad.abc", tune("T:Caf\xe9\nK:C\nABc"), says="files read as Latin-1: 1", tokenizer="music_abc"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_a_bad_file_is_named_and_the_others_are_kept(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[kind]
    folder, store = tmp_path / "music", tmp_path / "m.zarr"
    folder.mkdir()
    (folder / case.name).write_bytes(case.data)
    for number in range(3):
        if case.tokenizer == "music_abc":
            (folder / f"good_{number}.abc").write_text(TUNE.replace("f2e2", f"f{number + 2}e2"))
        else:
            (folder / f"good_{number}.mid").write_bytes(midi_bytes([chorale(number, 4)]))
    code = foretell_cli(
        "prepare", "domain=music", f"data.path={folder}", f"tokenizer.name={case.tokenizer}", f"store={store}",
        "max_bad=0.5", "progress=false",
    )  # fmt: skip
    said = capsys.readouterr()
    assert code == 0, said.err
    good = {"music_abc": 4}.get(case.tokenizer, 3)  # beside a bad tune stands a good one
    if not case.reason:
        assert case.says in said.out
        assert len(TokenStore.open(store)) == good + 1
        return
    assert len(TokenStore.open(store)) == good
    (line,) = [json.loads(text) for text in (tmp_path / "m.zarr.rejects.jsonl").read_text().splitlines()]
    assert (Path(line["file"]).name, line["reason"]) == (case.name, case.reason)
    assert case.says in line["message"]
    assert line["line"] is not None or case.name in line["message"] or line["id"] in line["message"]
    assert f"{good + 1} read, {good} kept, 1 rejected ({case.reason} 1" in said.out


FIVE_VOICES = b"".join(bytes([0, 0x90 + c, 60, 80, 96, 0x80 + c, 60, 0]) for c in range(5))
ON_THE_GRID = "tokenizer=music_grid takes 4 voices of one note at a time, from A1 to E6; tokenizer=music_remi takes any"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (midi(FIVE_VOICES), ON_THE_GRID),
        (midi(NOTE.replace(b"\x3c", b"\x14")), ON_THE_GRID),
        (midi(NOTE + b"\x00\x80\x40\x00"), "data.repair=true reads MIDI files"),
    ],
    ids=["five voices", "a low note", "a note that never began"],
)
def test_files_that_another_key_would_read_are_refused_with_it(
    data: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mid").write_bytes(data)
    given = ("prepare", "domain=music", f"data.path={tmp_path}", "progress=false")
    assert foretell_cli(*given, f"store={tmp_path / 'a.zarr'}") == 3
    assert says in capsys.readouterr().err.replace("\n", " ")
    helps = ("tokenizer=music_remi", "data.repair=true")
    assert foretell_cli(*given, *helps, f"store={tmp_path / 'b.zarr'}") == 0
    assert "letters " not in capsys.readouterr().out
