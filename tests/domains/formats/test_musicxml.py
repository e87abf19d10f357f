"""MusicXML: parts, chords, ties, pickups; and files that would do harm."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from core.errors import RecordError
from domains.formats.musicxml import MAX_UNPACKED, parse_musicxml, read_musicxml
from domains.formats.score import DURATION, ONSET, PITCH, TRACK


def note(step: str, octave: int, duration: int, more: str = "", alter: int = 0) -> str:
    altered = f"<alter>{alter}</alter>" if alter else ""
    pitch = f"<pitch><step>{step}</step>{altered}<octave>{octave}</octave></pitch>"
    chord = "<chord/>" if "chord" in more else ""
    return f"<note>{chord}{pitch}<duration>{duration}</duration>{more.replace('chord', '')}</note>"


def score(*measures: str, head: str = "", part: str = "<part-name>Alto</part-name>") -> bytes:
    listed = "".join(f'<measure number="{n}">{m}</measure>' for n, m in enumerate(measures, 1))
    return (
        f'<?xml version="1.0"?>{head}<score-partwise><part-list><score-part id="P1">{part}</score-part></part-list>'
        f'<part id="P1">{listed}</part></score-partwise>'
    ).encode()


FIRST = "<attributes><divisions>2</divisions><key><fifths>-1</fifths><mode>minor</mode></key>" \
        "<time><beats>3</beats><beat-type>4</beat-type></time></attributes>"  # fmt: skip


def test_a_measure_with_a_chord_and_a_second_voice() -> None:
    found = parse_musicxml(
        score(FIRST + note("C", 4, 4) + note("E", 4, 4, "chord") + note("B", 4, 2, alter=-1)
              + "<backup><duration>6</duration></backup>" + note("C", 3, 6)),
        "a.xml",
    )  # fmt: skip
    assert found.id == "a"
    assert found.tpq == 2
    assert found.notes[:, [ONSET, DURATION, PITCH]].tolist() == [[0, 6, 48], [0, 4, 60], [0, 4, 64], [4, 2, 70]]
    assert found.metres.tolist() == [[0, 3, 4]]
    assert found.keys.tolist() == [[0, -1, 1]]
    assert found.tracks == ("Alto",)


def test_ties_are_one_note_across_measures() -> None:
    found = parse_musicxml(
        score(FIRST + note("G", 4, 6, '<tie type="start"/>'), note("G", 4, 2, '<tie type="stop"/>') + note("G", 4, 4)),
        "a.xml",
    )
    assert found.notes[:, [ONSET, DURATION]].tolist() == [[0, 8], [8, 4]]


def test_grace_notes_and_repeats_are_counted() -> None:
    counted: Counter[str] = Counter()
    grace = "<note><grace/><pitch><step>A</step><octave>4</octave></pitch></note>"
    repeat = '<barline><repeat direction="backward"/></barline>'
    parse_musicxml(score(FIRST + grace + note("A", 4, 2) + repeat), "a.xml", counted)
    assert counted == {"grace and cue notes left out": 1, "repeats not unfolded": 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged_xml"),
        (b"<score-partwise>", "damaged_xml"),
        (b"<score-timewise/>", "unsupported_xml"),
        (b"<html/>", "unsupported_xml"),
        (score(FIRST), "no_notes"),
        (score(FIRST, head='<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'), "unsafe_xml"),
        (score(FIRST, head='<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), "unsafe_xml"),
        (score(FIRST + note("H", 4, 2)), "bad_element"),
        (score(FIRST + note("C", 14, 2)), "pitch_range"),
        (score(FIRST + note("C", 4, 0)), "bad_element"),
        (score("<attributes><divisions>0</divisions></attributes>" + note("C", 4, 2)), "bad_element"),
        (score(FIRST + '<sound tempo="0"/>' + note("C", 4, 2)), "bad_tempo"),
        (score(FIRST + "<backup><duration>9</duration></backup>" + note("C", 4, 2)), "bad_element"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_musicxml(data, "broken.xml")
    assert caught.value.reason == reason
    assert "broken.xml" in caught.value.message


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "/"), data)
    return path


def test_an_mxl_is_the_score_that_its_container_names(tmp_path: Path) -> None:
    container = b'<container><rootfiles><rootfile full-path="b.xml"/></rootfiles></container>'
    members = {"META-INF/container.xml": container, "a.xml": b"<x/>", "b.xml": score(FIRST + note("C", 4, 2))}
    found = read_musicxml(packed(tmp_path / "x.mxl", **members))
    assert len(found.notes) == 1
    assert found.notes[0, TRACK] == 0


@pytest.mark.parametrize("name", ["../out.xml", "/abs.xml", "a/../../b.xml"])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="leads out"):
        read_musicxml(packed(tmp_path / "x.mxl", **{name: b"x"}))


def test_a_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.mxl", **{"a.xml": bytes(MAX_UNPACKED + 1)})
    assert path.stat().st_size < 200_000
    with pytest.raises(RecordError) as caught:
        read_musicxml(path)
    assert caught.value.reason == "unsafe_container"


def test_damage_to_a_container_is_one_refusal(tmp_path: Path) -> None:
    data = packed(tmp_path / "x.mxl", **{"a.xml": score(FIRST + note("C", 4, 2))}).read_bytes()
    for broken in (data[:20], data[:-30], b"PK\x03\x04" + bytes(40), b""):
        (tmp_path / "y.mxl").write_bytes(broken)
        with pytest.raises(RecordError) as caught:
            read_musicxml(tmp_path / "y.mxl")
        assert caught.value.reason == "damaged_container"


def test_music21_reads_the_same_notes(tmp_path: Path) -> None:
    converter = pytest.importorskip("music21").converter
    measures = (FIRST + note("C", 4, 3) + note("D", 4, 3), note("E", 5, 6, '<tie type="start"/>'),
                note("E", 5, 4, '<tie type="stop"/>') + note("F", 4, 2, alter=1))  # fmt: skip
    path = tmp_path / "x.xml"
    path.write_bytes(score(*measures))
    theirs = [
        (float(n.offset), float(n.quarterLength), n.pitch.midi)
        for n in converter.parse(path, forceSource=True).stripTies().flatten().notes
    ]
    found = read_musicxml(path)
    mine = [(on / found.tpq, n / found.tpq, p) for on, n, p in found.notes[:, [ONSET, DURATION, PITCH]].tolist()]
    assert mine == theirs
