"""Sources of music: files of every kind beside each other, with bad ones among them; and the published data sets."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains.formats.midi_writing import midi_bytes
from domains.formats.score import PITCH, TRACK, Score
from domains.music.source import DATASETS, open_source, write_samples
from domains.music.source.datasets import SATB
from domains.music.source.records import intervals
from domains.music.tokenizer import AbcTokenizer, GridTokenizer, RemiTokenizer, TracksTokenizer
from tests.domains.music.scores import NOTE, TUNE, chorale, midi


def write_folder(folder: Path) -> None:
    """Ten good pieces of three kinds, three bad files."""
    folder.mkdir(exist_ok=True)
    for seed in range(7):
        (folder / f"made_{seed}.mid").write_bytes(midi_bytes([chorale(seed)]))
    (folder / "tunes.abc").write_text("\n".join(TUNE.replace("X:1", f"X:{n}") for n in (1, 2, 3)))
    (folder / "empty.mid").write_bytes(b"")
    (folder / "hanging.mid").write_bytes(midi(b"\x00\x90\x3c\x40"))
    (folder / "entities.xml").write_bytes(b'<!DOCTYPE s [<!ENTITY a "b">]><score-partwise/>')


def test_a_folder_is_read_and_its_bad_files_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "music")
    source = open_source(path=tmp_path / "music")
    items = list(source)
    bad = {Path(item.file).name: item.reason for item in items if isinstance(item, Reject)}
    assert bad == {"empty.mid": "empty_file", "hanging.mid": "hanging_note", "entities.xml": "unsafe_xml"}
    assert sum(isinstance(item, Score) for item in items) == 10
    assert source.records_in == 13
    assert source.bytes_read == source.total_bytes
    assert [i.index for i in items if isinstance(i, Reject)] == [
        k for k, i in enumerate(items) if isinstance(i, Reject)
    ]


def test_reading_again_gives_the_same(tmp_path: Path) -> None:
    write_folder(tmp_path / "music")
    source = open_source(path=tmp_path / "music")
    first = [item.id for item in source]
    notes = source.notes
    assert [item.id for item in source] == first
    assert source.notes == notes


def test_a_store_counts_every_record(tmp_path: Path) -> None:
    write_folder(tmp_path / "music")
    report = prepare_store(
        open_source(path=tmp_path / "music"), RemiTokenizer(), tmp_path / "m.zarr",
        split=SplitConfig("random", test=0.2), domain="music", max_bad=0.5,
    )  # fmt: skip
    assert report.counts["in"] == 13
    assert report.counts["ok"] == 10
    assert report.counts["rejected"] == {"empty_file": 1, "hanging_note": 1, "unsafe_xml": 1}
    lines = [json.loads(line) for line in (tmp_path / "m.zarr.rejects.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    store = TokenStore.open(tmp_path / "m.zarr")
    first = RemiTokenizer().decode(store[0])
    assert len(first.notes) == len(chorale(0).notes)


def test_parts_are_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(midi_bytes([chorale(0)]))
    (found,) = open_source(path=tmp_path / "a.mid", parts=["bass", "sop"])
    assert isinstance(found, Score)
    assert found.tracks == ("bass", "sop")
    lows = [found.notes[found.notes[:, TRACK] == t, PITCH].mean() for t in (0, 1)]
    assert lows[0] < lows[1]
    (missing,) = open_source(path=tmp_path / "a.mid", parts=["flute"])
    assert isinstance(missing, Reject)
    assert missing.reason == "parts_missing"


def test_letters_are_the_same_in_every_key() -> None:
    score = chorale(0)
    higher = Score("h", score.tpq, score.notes + np.array([0, 0, 5, 0, 0, 0, 0]))
    assert (intervals(score) == intervals(higher)).all()
    assert not np.array_equal(intervals(score), intervals(chorale(1)))


def test_transposed_copies_stay_on_one_side(tmp_path: Path) -> None:
    moved = [
        Score(f"{seed}_{shift}", 480, chorale(seed).notes + np.array([0, 0, shift, 0, 0, 0, 0]))
        for seed in range(12)
        for shift in (0, 3)
    ]
    for score in moved:
        (tmp_path / f"{score.id}.mid").write_bytes(midi_bytes([score]))
    source = open_source(path=tmp_path)
    split = SplitConfig(**{**source.suggested_split, "test": 0.3, "validation": 0.2})
    prepare_store(source, GridTokenizer(), tmp_path / "s.zarr", split=split, domain="music")
    store = TokenStore.open(tmp_path / "s.zarr")
    side = {store.ids[row]: part for part in ("train", "validation", "test") for row in store.spans(part)[:, 0]}
    assert len(set(side.values())) > 1
    assert all(side[f"{seed}_0"] == side[f"{seed}_3"] for seed in range(12))


def test_samples_can_be_read_back(tmp_path: Path) -> None:
    scores = [GridTokenizer().canonical(chorale(seed, name=f"s{seed}")) for seed in range(3)]
    assert write_samples(tmp_path / "out.mid", scores, [1.5, 2.5, 3.5]) == 3
    back = list(open_source(path=tmp_path / "out.mid"))
    assert [score.id for score in back] == ["s0", "s1", "s2"]
    for mine, theirs in zip(scores, back, strict=True):
        assert GridTokenizer().same(mine, GridTokenizer().canonical(theirs))  # type: ignore[arg-type]
    assert b"nats=2.5" in (tmp_path / "out.mid").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out_samples").iterdir()) == ["1.mid", "2.mid", "3.mid"]
    write_samples(tmp_path / "out.mid", scores[:1])
    assert [path.name for path in (tmp_path / "out_samples").iterdir()] == ["1.mid"]  # nothing of the draw before


def test_samples_as_sound_and_a_folder_of_somebody_else(tmp_path: Path) -> None:
    scores = [GridTokenizer().canonical(chorale(seed, name=f"s{seed}")) for seed in range(2)]
    write_samples(tmp_path / "samples.wav", scores)
    lengths = []
    for name in ("samples.wav", "samples/1.wav", "samples/2.wav"):
        with wave.open(str(tmp_path / name)) as file:
            lengths.append(file.getnframes() / file.getframerate())
    assert lengths[0] == pytest.approx(lengths[1] + lengths[2] + 0.5, abs=0.01)
    (tmp_path / "run_samples").mkdir()
    (tmp_path / "run_samples/config.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds config\.yaml"):
        write_samples(tmp_path / "run.mid", scores)
    assert [path.name for path in (tmp_path / "run_samples").iterdir()] == ["config.yaml"]


def test_tunes_are_written_as_abc_too(tmp_path: Path) -> None:
    (tmp_path / "t.abc").write_text(TUNE)
    tunes = list(open_source(path=tmp_path / "t.abc"))
    write_samples(tmp_path / "out.mid", tunes)
    (back,) = open_source(path=tmp_path / "out.abc")
    assert back.text == tunes[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"data": "chorals"}, {"data": "chorales", "path": "x"}, {"path": "x", "formt": "midi"},
     {"path": "x", "format": "wav"}, {"data": "chorales", "parts": ["bass"]}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        open_source(**wrong)  # type: ignore[arg-type]


def test_files_of_no_known_kind(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(NOTE)
    with pytest.raises(InputError, match="format"):
        list(open_source(path=tmp_path / "a.wav"))
    with pytest.raises(InputError):
        open_source(path=tmp_path / "missing.mid")


def test_the_published_lists_are_whole() -> None:
    chorales = DATASETS["chorales"]
    sides = list(chorales.sides.values())
    assert len(chorales.members) == len(sides) == 406
    assert {side: sides.count(side) for side in set(sides)} == {"train": 304, "validation": 20, "test": 82}
    assert len(DATASETS["folk"].members) == 1059 + 39 + 6
    assert len(DATASETS["openttd"].members) == 31
    assert all(len(digest) == 64 for data in DATASETS.values() for digest in data.members.values())


@pytest.mark.network
def test_openttd_is_read_as_a_whole() -> None:
    source = open_source(data="openttd")
    scores = [item for item in source if isinstance(item, Score)]
    assert (len(scores), sum(len(score.notes) for score in scores)) == (31, 80_364)
    assert source.notes["ends of notes that never began"] == 5
    for score in scores:
        for tokenizer in (RemiTokenizer(), TracksTokenizer()):
            assert tokenizer.same(tokenizer.decode(tokenizer.encode(score)), tokenizer.canonical(score))


@pytest.mark.network
def test_tunes_are_spelled_as_they_are_read() -> None:
    source = open_source(data="oneill")
    items = list(source)
    tunes = [item for item in items if isinstance(item, Score)]
    assert len(tunes) > 0.97 * len(items)
    tokenizer = AbcTokenizer()
    for tune in tunes[::10]:
        assert tokenizer.decode(tokenizer.encode(tune)).text == tune.text


@pytest.mark.network
def test_the_chorales_are_four_voices_on_the_grid() -> None:
    source = open_source(data="chorales")
    tokenizer = GridTokenizer()
    for score in source:
        assert isinstance(score, Score)
        assert score.tracks == SATB
        assert tokenizer.same(tokenizer.decode(tokenizer.encode(score)), tokenizer.canonical(score))
    assert source.records_in == 406
