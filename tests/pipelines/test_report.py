"""What `foretell report` says of many files, and of samples that are no text."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.report import Facts, Listing, Samples, Text
from core.store import TokenStore
from domains.formats.midi_writing import midi_bytes
from domains.music.source import write_samples
from pipelines.report import ReportOptions, _data, _lead, _said, _samples, _what
from pipelines.run_record import RunRecord
from tests.conftest import foretell_cli
from tests.domains.music.scores import chorale

IN_SHORT = "8 files (piece_0.mid to piece_7.mid)"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    """A run on eight files of music, as far as these sections look at it."""
    monkeypatch.chdir(tmp_path)
    Path("pieces").mkdir()
    Path("run").mkdir()
    for seed in range(8):
        Path(f"pieces/piece_{seed}.mid").write_bytes(midi_bytes([chorale(seed, 4)]))
    assert foretell_cli("prepare", "domain=music", "data.path=pieces", "store=s.zarr", "progress=false") == 0
    made = RunRecord(Path("run"))
    made.__dict__["config"] = {"domain": "music", "data": [{"store": "s.zarr"}]}
    return made


def test_many_files_are_said_in_short_and_kept_in_full(record: RunRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert _what(record) == IN_SHORT
    facts, listing = _data(record)
    assert isinstance(facts, Facts)
    assert facts.facts["where"] == IN_SHORT
    assert "letters " not in listing.html()
    names = [f"piece_{seed}.mid" for seed in range(8)]
    assert TokenStore.open(Path("s.zarr")).attrs["source"]["where"] == names
    capsys.readouterr()
    assert foretell_cli("describe", "s.zarr") == 0
    assert IN_SHORT in capsys.readouterr().out
    assert foretell_cli("describe", "s.zarr", "--json") == 0
    said = capsys.readouterr().out
    assert all(f'"{name}"' in said for name in names)


def test_a_long_list_of_the_source_is_folded_away(record: RunRecord) -> None:
    digests = {f"bwv{i}.mxl": f"{i:064x}" for i in range(408)}
    folded = _said(digests)
    assert isinstance(folded, Listing)
    assert folded.summary == "408: bwv0.mxl to bwv407.mxl"
    assert folded.text.splitlines()[407] == f"bwv407.mxl: {407:064x}"
    shown = Facts("Data", {"sha256": folded, "licence": "<CC0>"}).html()
    assert "<dd><details><summary>408: " in shown
    assert "<dd>&lt;CC0&gt;</dd>" in shown
    assert _said({"bwv0.mxl": digests["bwv0.mxl"]}) == f"bwv0.mxl: {0:064x}"
    assert _said(["a", "b"]) == "a, b"


@pytest.mark.parametrize(
    ("step", "tokens", "ends"),
    [(87, 94_095, "step 87 of 1,734, after 94,095 tokens."), (1734, 1_863_835, "step 1,734 of 1,734.")],
)
def test_the_lead_tells_what_was_read_and_what_was_kept(record: RunRecord, step: int, tokens: int, ends: str) -> None:
    record.config["model"] = {"layers": 2, "pattern": "A", "width": 64}
    record.__dict__["best"] = {"step": step, "tokens": tokens}
    record.__dict__["last_step"] = {"step": 1734, "tokens": 1_863_835}
    record.__dict__["curves"] = [{"seconds": 55.0}]
    Path("run/plan.json").write_text('{"steps": 1734}')
    lead = _lead(record)
    assert "trained on 1,863,835 tokens in 55 s; the best weights" in lead
    assert lead.endswith(ends)


def test_samples_that_are_no_text_are_not_printed(record: RunRecord) -> None:
    options = ReportOptions(run=Path("run"))
    write_samples("run/samples.mid", [chorale(1, 4), chorale(2, 4)])
    (section,) = _samples(record, options)
    assert isinstance(section, Text)
    assert "2 samples lie in the folder run/samples, a file each, and all together in run/samples.mid." in section.text
    assert "MThd" not in section.html()
    Path("tunes.abc").write_text("X:1\nK:C\nABc\n")
    (section,) = _samples(record, ReportOptions(run=Path("run"), samples=Path("tunes.abc")))
    assert isinstance(section, Samples)
    assert "ABc" in section.html()
