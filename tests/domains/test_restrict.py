"""Files read apart, one after the other, give the records of a pass over all of them; what needs all is refused."""

import numpy as np
import pytest

from core.errors import ConfigError
from core.rejects import Reject
from domains import DOMAINS

TUNE = "X:1\nT:{0}\nM:4/4\nL:1/4\nK:G\nGABc|dedB|G4|]\n"
FILES = {
    "dna": ("{}.fa", ">a{0}\nACGTTACG\n>b{0}\nAC!T\n>c\nGG{1}\n", {}),
    "proteins": ("{}.fasta", ">p{0}\nMKV{1}\n>q{0}\nMK*V\n", {}),
    "molecules": ("{}.smi", "CCO m{0}\nC1CC bad{0}\nc1ccccc1 n{0}\n", {}),
    "graphs": ("{}.edges", "0 1\n1 2\n2 {0}\n", {}),
    "time_series": ("{}.csv", "time,a\n2020-01-01,1.{0}\n2020-01-02,2\n2020-01-03,{0}\n", {}),
    "chaos": ("{}.csv", "x,y\n1,2\n2,{0}\n3,4\n", {}),
    "music": ("{}.abc", TUNE, {}),
    "robots": ("{}.csv", "episode,obs_0,obs_1,action_0\ne{0},0.5,{0},1\ne{0},0.25,1,0\ne{0},0.5,3,1\n", {}),
}


def source_of(domain, folder, files=4, **options):
    name, text, keys = FILES[domain]
    folder.mkdir(exist_ok=True)
    for number in range(files):
        (folder / name.format(number)).write_text(text.format(number, "ACGT"[number % 4]))
    return DOMAINS.get(domain).load("source")(path=[str(folder)], **keys, **options)


def facts(source, item):
    if isinstance(item, Reject):
        return item.file, item.id, item.reason
    return source.name(item), source.letters(item).tolist(), source.group(item), source.labels(item)


@pytest.mark.parametrize("domain", FILES)
def test_files_apart_are_all_of_them(tmp_path, domain):
    whole = source_of(domain, tmp_path / "files")
    expected = [facts(whole, item) for item in whole]
    assert len(expected) >= 4
    apart = source_of(domain, tmp_path / "files")
    assert len(apart.files_apart()) == 4
    found, notes = [], {}
    for number in (0, 1, 2, 3):
        apart.restrict(number, number + 1)
        found += [facts(apart, item) for item in apart]
        for what, n in getattr(apart, "notes", {}).items():
            notes[what] = notes.get(what, 0) + n
    assert repr(found) == repr(expected)  # NaN is no equal of itself
    assert notes == dict(getattr(whole, "notes", {}))


def test_what_all_files_decide_stays_decided(tmp_path):
    source = source_of("chaos", tmp_path / "files")
    (tmp_path / "files/3.csv").write_text("x,y,z\n1,2,3\n2,3,4\n3,4,5\n")
    source.files_apart()
    source.restrict(3, 4)
    assert [item.reason for item in source] == ["wrong_channels"]


@pytest.mark.parametrize(("domain", "options"), [("molecules", {"limit": 3}), ("dna", {"bed": "{}/regions.bed"})])
def test_what_needs_all_files_at_once_is_refused(tmp_path, domain, options):
    (tmp_path / "regions.bed").write_text("a0\t0\t4\n")
    given = {key: str(value).format(tmp_path) if key == "bed" else value for key, value in options.items()}
    source = source_of(domain, tmp_path / "files", files=1, **given)
    with pytest.raises(ConfigError, match=r"one process"):
        source.files_apart()


def test_made_data_are_for_one_process():
    source = DOMAINS.get("graphs").load("source")(data="tree")
    with pytest.raises(ConfigError, match="one process"):
        source.files_apart()
    assert isinstance(next(iter(source)).edges, np.ndarray)
