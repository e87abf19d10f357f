"""Named data sets: scores, tunes and MIDI files that published packages ship, each member pinned by its sha256.

`chorales.csv` lists the chorales with the side of our split: every setting of one melody (soprano, modulo
transposition) is on one side; melodies were dealt out in the order of sha256("chorales " + BWV name) until the test
part had a fifth of the pieces and validation a twentieth. `folk.csv` lists the files of the fiddle collections. Nothing
of the music is in this repository.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from domains.formats.package_data import Package
from domains.formats.record_source import PublishedData

HERE = Path(__file__).parent
SATB = ("soprano", "alto", "tenor", "bass")
_CORPUS = "music21/corpus"
_MUSIC21 = Package("pypi", "music21", "10.5.1", "music21-10.5.1-py3-none-any.whl")
MELODIES = {"rule": "cluster", "validation": 0.05, "test": 0.1, "k": 12, "containment": 0.3}
"""Letters of the k-mers are intervals, so families are the same in every key: 12 intervals in a row hardly recur by
chance, and two tunes that share three in ten of them are settings of one melody."""


@dataclass(frozen=True)
class DataSet(PublishedData):
    """What one name stands for."""

    parts: tuple[str, ...] = ()
    """The parts that are kept, by the beginning of their names; empty for all."""
    repair: bool = False
    """See SourceConfig.repair."""
    sides: Mapping[str, str] = field(default_factory=dict)
    """Record to train, validation or test."""


def _rows(name: str) -> list[dict[str, str]]:
    with open(HERE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _folk(*collections: str) -> dict[str, str]:
    return {
        f"{_CORPUS}/{row['collection']}/{row['file']}": row["sha256"]
        for row in _rows("folk.csv")
        if row["collection"] in collections
    }


_CHORALES = _rows("chorales.csv")
_LICENCE = "music: public domain; encodings: as distributed with music21 (BSD-3-Clause), permission of the encoders"
_CUTHBERT = "Cuthbert and Ariza 2010, music21, ISMIR, p. 637"
_RYAN = "Ryan's Mammoth Collection, Boston 1883, encoded by J. Chambers"
_ONEILL = "O'Neill's Music of Ireland, Chicago 1903 (1850 melodies), encoded by N. Paap and others"

DATASETS: dict[str, DataSet] = {
    "chorales": DataSet(
        what="406 four-part chorales of J. S. Bach in MusicXML; settings of one melody stay on one side",
        package=_MUSIC21,
        members={f"{_CORPUS}/bach/{row['file']}": row["sha256"] for row in _CHORALES},
        licence=_LICENCE,
        citation=_CUTHBERT,
        split={"rule": "given", "k": 12},
        parts=SATB,
        sides={row["name"]: row["side"] for row in _CHORALES},
    ),
    "folk": DataSet(
        what="fiddle tunes in ABC of three collections: Ryan's, O'Neill's, Aird's; melodies alike stay together",
        package=_MUSIC21,
        members=_folk("ryansMammoth", "oneills1850", "airdsAirs"),
        licence=_LICENCE,
        citation=f"{_CUTHBERT}; {_RYAN}; {_ONEILL}; Aird's Airs, Glasgow 1778-1801, encoded by J. Campin",
        split=MELODIES,
    ),
    "ryan": DataSet(
        what="1,059 fiddle tunes of Ryan's Mammoth Collection in ABC; melodies alike stay together",
        package=_MUSIC21,
        members=_folk("ryansMammoth"),
        licence=_LICENCE,
        citation=f"{_CUTHBERT}; {_RYAN}",
        split=MELODIES,
    ),
    "oneill": DataSet(
        what="Irish tunes of O'Neill's Music of Ireland in ABC; melodies alike stay together",
        package=_MUSIC21,
        members=_folk("oneills1850"),
        licence=_LICENCE,
        citation=f"{_CUTHBERT}; {_ONEILL}",
        split=MELODIES,
    ),
    "openttd": DataSet(
        what="31 MIDI files of the game OpenTTD, 80,364 notes, drums and up to 16 channels",
        package=Package(
            "debian",
            "openttd-openmsx",
            "0.4.2-1",
            "pool/main/o/openttd-openmsx/openttd-openmsx_0.4.2-1_all.deb",
        ),
        members={f"usr/share/games/openttd/baseset/openmsx/{r['file']}": r["sha256"] for r in _rows("openttd.csv")},
        licence="GPL-2.0 (package openttd-openmsx)",
        citation="OpenMSX contributors 2010, https://github.com/OpenTTD/OpenMSX",
        split=MELODIES,
        repair=True,
    ),
}
