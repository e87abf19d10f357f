"""MusicXML and its packed form .mxl as Scores: parts, voices, chords, ties, tuplets, pickups, key, metre and tempo.

Read with our own walk over the elements, in the order in which the format moves its cursor (note, backup, forward). XML
is parsed without entities or external references, a zip within bounds. Grace and cue notes are left out and counted;
repeats are not unfolded and counted. Knows nothing of tokens.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from core.errors import RecordError
from domains.formats.score import TEMPO_USUAL, VELOCITY_USUAL, Score, in_order, no_rows

SUFFIXES = (".musicxml", ".xml", ".mxl")
MAX_UNPACKED = 64 * 2**20
"""Bytes of one score: the longest symphonies have about 30 MB; a bomb has thousands of times its packed size."""
MAX_TPQ = 32_767
"""The most that a MIDI header can say."""
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_COMMON = {"C": (4, 4), "C|": (2, 2)}


def read_musicxml(path: Path | str, notes: Counter[str] | None = None) -> Score:
    """The score in a .musicxml, .xml or .mxl file.

    Args:
        notes: where what was unusual but readable is counted.

    Raises RecordError: unsafe_container, damaged_container, unsafe_xml, damaged_xml, no_notes, bad_element.
    """
    path = Path(path)
    data = path.read_bytes()
    if data[:4] == b"PK\x03\x04" or path.suffix.lower() == ".mxl":
        data = _unpacked(data, path.name)
    return parse_musicxml(data, path.name, notes)


def parse_musicxml(data: bytes, name: str, notes: Counter[str] | None = None) -> Score:
    """The score in XML text `data`; `name` stands in errors and becomes the id, without its ending. Raises as above."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    counted = Counter[str]() if notes is None else notes
    try:
        # A document type is allowed, every published score names one; entities and what lies elsewhere are not read.
        root = fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise RecordError("unsafe_xml", f"{name}: declares entities or refers to other files ({error})") from error
    except (ParseError, ValueError, LookupError) as error:
        raise RecordError("damaged_xml", f"{name}: is no well-formed XML ({error})") from error
    if root.tag == "score-timewise":
        raise RecordError("unsupported_xml", f"{name}: is score-timewise MusicXML; expected score-partwise")
    if root.tag != "score-partwise":
        raise RecordError("unsupported_xml", f"{name}: its root is <{root.tag}>, expected <score-partwise>")
    return _Reading(root, name, counted).score()


_ZIP_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, ValueError, OverflowError, RuntimeError, OSError,
)  # fmt: skip
"""What a damaged archive makes zipfile raise [negative seek value, of a false place of its directory]; an unknown
compression is a RuntimeError."""


def _unpacked(data: bytes, name: str) -> bytes:
    """The score inside a .mxl, as its META-INF/container.xml names it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for entry in packed.infolist():
                parts = entry.filename.replace("\\", "/").split("/")
                if entry.filename.startswith(("/", "\\")) or ".." in parts:
                    raise RecordError("unsafe_container", f"{name}: its member {entry.filename!r} leads out of it")
            total = sum(entry.file_size for entry in packed.infolist())
            if total > MAX_UNPACKED:
                raise RecordError(
                    "unsafe_container", f"{name}: {len(data):,} bytes would unpack to {total:,}, more than a score has"
                )
            member = _main_member(packed, name)
            with packed.open(member) as file:
                content = file.read(MAX_UNPACKED + 1)
    except RecordError:
        raise
    except _ZIP_DAMAGE as error:
        raise RecordError("damaged_container", f"{name}: is no sound .mxl file ({error})") from error
    if len(content) > MAX_UNPACKED:  # what the directory says of sizes may lie
        raise RecordError("unsafe_container", f"{name}: unpacks to more than {MAX_UNPACKED:,} bytes")
    return content


def _main_member(packed: zipfile.ZipFile, name: str) -> str:
    from defusedxml.ElementTree import fromstring

    names = packed.namelist()
    if "META-INF/container.xml" in names:
        try:
            root = fromstring(packed.read("META-INF/container.xml"))
        except Exception as error:
            raise RecordError("damaged_container", f"{name}: its container.xml cannot be read ({error})") from error
        for element in root.iter():
            if element.tag.endswith("rootfile") and element.get("full-path") in names:
                return str(element.get("full-path"))
    scores = [n for n in names if n.lower().endswith((".xml", ".musicxml")) and not n.startswith("META-INF/")]
    if not scores:
        raise RecordError("damaged_container", f"{name}: holds no score")
    return scores[0]


class _Reading:
    """One walk over a partwise score; times are Fractions of a quarter until the end."""

    def __init__(self, root: Any, name: str, counted: Counter[str]) -> None:
        self.root, self.name, self.counted = root, name, counted
        self.notes: list[tuple[Fraction, Fraction, int, int, int]] = []
        self.tempos: dict[Fraction, int] = {}
        self.metres: dict[Fraction, tuple[int, int]] = {}
        self.keys: dict[Fraction, tuple[int, int]] = {}
        self.divisions: set[int] = set()
        self.left: Counter[str] = Counter()

    def score(self) -> Score:
        root = self.root
        names, programs = {}, {}
        for part in root.iterfind("part-list/score-part"):
            key = part.get("id", "")
            names[key] = (part.findtext("part-name") or "").strip()
            programs[key] = int(_number(part.findtext("midi-instrument/midi-program"), 1)) - 1
        tracks, rows = [], []
        for track, part in enumerate(root.iterfind("part")):
            key = part.get("id", "")
            tracks.append(names.get(key, ""))
            self.notes = []
            self._part(part, first=track == 0)
            program = min(127, max(0, programs.get(key, 0)))
            rows += [(on, length, pitch, loud, program, track, drum) for on, length, pitch, loud, drum in self.notes]
        if not rows:
            raise RecordError("no_notes", f"{self.name}: has no notes")
        self.counted.update(self.left)
        tpq = math.lcm(*self.divisions) if self.divisions else 1
        tpq = tpq if tpq <= MAX_TPQ else 10_080  # 2^5 * 9 * 5 * 7: every usual tuplet

        def ticks(time: Fraction) -> int:
            return round(time * tpq)

        import numpy as np

        def table(found: dict[Fraction, Any], width: int) -> Any:
            listed = [[ticks(t), *(v if isinstance(v, tuple) else (v,))] for t, v in sorted(found.items())]
            return np.array(listed, np.int64) if listed else no_rows(width)

        return Score(
            Path(self.name).stem,
            tpq,
            in_order([[ticks(on), max(1, ticks(length)), *rest] for on, length, *rest in rows]),
            table(self.tempos or {Fraction(0): TEMPO_USUAL}, 2),
            table(self.metres, 3),
            table(self.keys, 3),
            tuple(tracks),
        )

    def _part(self, part: Any, *, first: bool) -> None:
        divisions, transpose, loud = 1, 0, VELOCITY_USUAL
        start = Fraction(0)
        open_ties: dict[tuple[int, int], int] = {}
        for number, measure in enumerate(part.iterfind("measure"), 1):
            where = f"{self.name}, part {part.get('id', '?')}, measure {measure.get('number', number)}"
            now, last, furthest = start, start, start
            for element in measure:
                tag = element.tag
                if tag == "attributes":
                    divisions = int(_number(element.findtext("divisions"), divisions))
                    if divisions < 1:
                        raise RecordError("bad_element", f"{where}: divisions is {divisions}, expected at least 1")
                    self.divisions.add(divisions)
                    if element.find("transpose") is not None:
                        octaves = _number(element.findtext("transpose/octave-change"), 0)
                        transpose = int(_number(element.findtext("transpose/chromatic"), 0) + 12 * octaves)
                    if first:
                        self._attributes(element, now, where)
                elif tag in ("backup", "forward"):
                    length = Fraction(_number(element.findtext("duration"), 0)).limit_denominator(10**6) / divisions
                    now += length if tag == "forward" else -length
                    if now < start:
                        raise RecordError("bad_element", f"{where}: a <backup> leads before the measure's start")
                    furthest = max(furthest, now)
                elif tag == "note":
                    if element.find("grace") is not None or element.find("cue") is not None:
                        self.left["grace and cue notes left out"] += 1
                        continue
                    length = Fraction(_number(element.findtext("duration"), 0)).limit_denominator(10**6) / divisions
                    onset = last if element.find("chord") is not None else now
                    if element.find("rest") is None:
                        self._note(element, onset, length, transpose, loud, open_ties, where)
                    if element.find("chord") is None:
                        last, now = now, now + length
                        furthest = max(furthest, now)
                elif tag in ("direction", "sound"):
                    sound = element if tag == "sound" else element.find("sound")
                    if sound is not None and sound.get("tempo") is not None and first:
                        tempo = _number(sound.get("tempo"), 0)
                        if tempo <= 0:
                            raise RecordError("bad_tempo", f"{where}: tempo {sound.get('tempo')}, expected above 0")
                        self.tempos[now] = round(60e6 / tempo)
                    if sound is not None and sound.get("dynamics") is not None:
                        loud = int(min(127, max(1, round(_number(sound.get("dynamics"), 89) * 0.9))))
                elif tag == "barline" and first and element.find("repeat") is not None:
                    self.left["repeats not unfolded"] += 1
            start = furthest

    def _attributes(self, element: Any, now: Fraction, where: str) -> None:
        key = element.find("key")
        if key is not None and key.findtext("fifths") is not None:
            fifths = int(_number(key.findtext("fifths"), 0))
            self.keys[now] = (fifths, int((key.findtext("mode") or "") == "minor"))
        time = element.find("time")
        if time is not None and time.findtext("beats") is not None:
            beats, kind = time.findtext("beats") or "", time.findtext("beat-type") or ""
            try:
                metre = (sum(int(part) for part in beats.split("+")), int(kind))
            except ValueError:
                raise RecordError("bad_element", f"{where}: metre {beats}/{kind} is no fraction") from None
            if metre[0] < 1 or metre[1] < 1:
                raise RecordError("bad_element", f"{where}: metre {beats}/{kind} is no fraction")
            self.metres[now] = metre

    def _note(
        self,
        element: Any,
        onset: Fraction,
        length: Fraction,
        transpose: int,
        loud: int,
        open_ties: dict[tuple[int, int], int],
        where: str,
    ) -> None:
        drum = int(element.find("unpitched") is not None)
        spelled = element.find("unpitched" if drum else "pitch")
        if spelled is None:
            raise RecordError("bad_element", f"{where}: a note has neither pitch nor rest")
        step = spelled.findtext("display-step" if drum else "step") or ""
        octave = _number(spelled.findtext("display-octave" if drum else "octave"), -99)
        if step not in _STEPS or octave == -99:
            raise RecordError("bad_element", f"{where}: pitch '{step}{octave:g}' has no meaning")
        pitch = _STEPS[step] + int(12 * (octave + 1)) + int(_number(spelled.findtext("alter"), 0)) + transpose
        if not 0 <= pitch <= 127:
            raise RecordError("pitch_range", f"{where}: pitch {step}{octave:g} is outside of MIDI's 0 to 127")
        if length <= 0:
            raise RecordError("bad_element", f"{where}: a note of duration {length}")
        ties = {tie.get("type") for tie in element.iterfind("tie")}
        slot = (pitch, int(_number(element.findtext("voice"), 1)))
        held = open_ties.get(slot)
        if "stop" in ties and held is not None and sum(self.notes[held][:2]) == onset:
            begun = self.notes[held]
            self.notes[held] = (begun[0], begun[1] + length, *begun[2:])
        else:
            self.notes.append((onset, length, pitch, loud, drum))
            held = len(self.notes) - 1
        if "start" in ties:
            open_ties[slot] = held
        else:
            open_ties.pop(slot, None)


def _number(text: str | None, usual: float) -> float:
    try:
        value = float(text) if text is not None else usual
    except ValueError:
        return usual
    return value if math.isfinite(value) else usual
