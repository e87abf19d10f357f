from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import ConfigError, InputError
from core.ingest import prepare_store, rejects_path
from core.rejects import Reject
from core.split import SplitConfig
from core.store import TokenStore
from domains.molecules.descriptors import PROPERTIES, property_of, read_fragment_scores, scaffold_of
from domains.molecules.molecule import Molecule
from domains.molecules.parsing import canonical_smiles, parse
from domains.molecules.source import DATASETS, open_source, write_samples
from domains.molecules.source.reading import Treatment, read_texts
from domains.molecules.tokenizer import SmilesAtomsTokenizer
from tests.domains.molecules.made import HARD, PLAIN

BAD = ("C1CC", "CC(C)(C)(C)C", "c1cccc1", "C\u0441C", "")


def written(tmp_path: Path, texts: tuple[str, ...], name: str = "m.csv") -> Path:
    path = tmp_path / name
    path.write_text("smiles,y\n" + "".join(f"{text},{i}\n" for i, text in enumerate(texts)), encoding="utf-8")
    return path


def test_molecules_of_a_file_are_canonical_and_counted(tmp_path: Path) -> None:
    source = open_source(path=written(tmp_path, PLAIN + BAD), labels="y")
    items = list(source)
    assert [m.smiles for m in items if isinstance(m, Molecule)] == [canonical_smiles(s) for s in PLAIN]
    reasons = [m.reason for m in items if isinstance(m, Reject)]
    assert reasons == ["syntax", "valence", "aromaticity", "non_ascii", "empty_smiles"]
    assert source.records_in == len(items) == len(PLAIN + BAD)
    assert list(source) == items, "the second pass gives something else"
    assert open_source(path=tmp_path / "m.csv", canonical="trusted", labels="y").provenance["canonical"] == "trusted"


def test_worker_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    files = open_source(path=written(tmp_path, (PLAIN + BAD + HARD) * 26)).files
    alone = list(read_texts(iter(files), Treatment(scaffolds=True), 1))
    assert list(read_texts(iter(files), Treatment(scaffolds=True), 2)) == alone
    assert {m.group for m in alone if isinstance(m, Molecule)} >= {"acyclic", "c1ccccc1"}


def test_a_store_holds_every_molecule_and_lists_every_reject(tmp_path: Path) -> None:
    out = tmp_path / "m.zarr"
    source = open_source(path=written(tmp_path, PLAIN + BAD + HARD), labels=["y"], scaffolds=True)
    report = prepare_store(
        source,
        SmilesAtomsTokenizer(),
        out,
        split=SplitConfig(**source.suggested_split),
        domain="molecules",
        max_bad=0.2,
    )
    assert (
        report.counts["in"] == report.counts["ok"] + sum(report.counts["rejected"].values()) == len(PLAIN + BAD + HARD)
    )
    lines = [json.loads(line) for line in rejects_path(out).read_text().splitlines()]
    assert [line["line"] for line in lines] == [len(PLAIN) + 2 + i for i in range(len(BAD))]
    store = TokenStore.open(out)
    tokenizer = SmilesAtomsTokenizer()
    assert [tokenizer.decode(s).smiles for s in store] == [canonical_smiles(s) for s in PLAIN + HARD]
    assert store.groups is not None
    sides = {}
    for (row, _, _), side in zip(store.spans().tolist(), store.span_split.tolist(), strict=True):
        assert sides.setdefault(store.groups[row], side) == side, "a scaffold stands on two sides"


def test_cleaning_is_done_where_it_is_named(tmp_path: Path) -> None:
    texts = ("[Na+].CC(=O)[O-]", "N[C@@H](C)C(=O)O", "[2H]OC")
    path = written(tmp_path, texts)

    def read(*clean: str) -> list[str]:
        return [m.smiles for m in open_source(path=path, clean=list(clean)) if isinstance(m, Molecule)]

    assert read() == [canonical_smiles(s) for s in texts]
    assert read("salts", "neutralise")[0] == "CC(=O)O"
    assert read("stereo")[1] == "CC(N)C(=O)O"
    assert read("isotopes")[2] == "CO"
    with pytest.raises(ConfigError, match="did you mean 'salts'"):
        read("salt")


def test_copies_of_training_molecules_are_other_readings_of_them(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("smiles,part\nCC(=O)Oc1ccccc1,train\nCCO,test\n")
    items = list(open_source(path=path, split_column="part", random_copies=3))
    assert [m.split for m in items if isinstance(m, Molecule)] == ["train"] * 4 + ["test"]
    tokenizer = SmilesAtomsTokenizer()
    readings = [tokenizer.decode(tokenizer.encode(m)).smiles for m in items[:4] if isinstance(m, Molecule)]
    assert len(set(readings)) > 1
    assert {canonical_smiles(text) for text in readings} == {"CC(=O)Oc1ccccc1"}
    with pytest.raises(ConfigError, match="must say which"):
        open_source(path=path, random_copies=3)


def test_labels_that_contradict_each_other_are_counted(tmp_path: Path) -> None:
    source = open_source(path=written(tmp_path, ("CCO", "OCC", "CC")), labels="y")
    assert len(list(source)) == 3
    assert source.notes == {"molecules met before with other labels": 1}


def test_properties_become_labels(tmp_path: Path) -> None:
    source = open_source(path=written(tmp_path, ("c1ccccc1", "CCO")), properties=["logp", "rings", "weight"])
    benzene, ethanol = (m for m in source if isinstance(m, Molecule))
    assert benzene.labels == pytest.approx({"logp": 1.6866, "rings": 1, "weight": 78.114})
    assert ethanol.labels["weight"] == pytest.approx(46.069)


def test_known_properties_and_scaffolds() -> None:
    aspirin = parse("CC(=O)Oc1ccccc1C(=O)O")
    assert property_of(aspirin, "qed") == pytest.approx(0.5501, abs=1e-4)
    assert scaffold_of(aspirin) == "c1ccccc1"
    assert scaffold_of(aspirin, 2) == ""
    assert scaffold_of(parse("CCO")) == ""
    with pytest.raises(ConfigError, match="did you mean 'logp'"):
        property_of(aspirin, "logP")
    assert set(PROPERTIES) == {"logp", "qed", "sa", "weight", "rings"}


def test_fragment_scores_are_read_as_text() -> None:
    import pickle

    table = [[-1.5, 7, 8], [0.25, 9]]
    assert read_fragment_scores(pickle.dumps(table, protocol=0)) == {7: -1.5, 8: -1.5, 9: 0.25}


@pytest.mark.network
def test_synthetic_accessibility_of_easy_and_hard_molecules() -> None:
    easy, hard = (property_of(parse(s), "sa") for s in ("CC(=O)Oc1ccccc1C(=O)O", "C1C2CC3CC1CC(C2)(C3)C1OC2CCC1(C)O2"))
    assert easy == pytest.approx(1.58, abs=0.01)  # of RDKit's sascorer
    assert 1 <= easy < 3 < hard <= 10


@pytest.mark.network
@pytest.mark.parametrize("name", ["esol", "freesolv", "nci5k", "drugs", "chembl_pact"])
def test_data_sets_are_what_they_say(name: str) -> None:
    items = list(open_source(data=name, workers=1))
    assert len(items) == sum(DATASETS[name].sizes.values())
    rejected = [m for m in items if isinstance(m, Reject)]
    assert len(rejected) == (8 if name == "nci5k" else 0)
    labels = {*DATASETS[name].labels.values(), *DATASETS[name].measured.values()}
    assert all(labels == set(m.labels) for m in items if isinstance(m, Molecule))


def test_samples_are_written_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "s.smi"
    assert write_samples(path, [Molecule("CCO", "a"), Molecule("C1C"), Molecule("")], [1.5, 2.0, 3.0]) == 3
    assert path.read_text() == "CCO\ta\tnats=1.5\tvalid\nC1C\tsample_2\tnats=2\tinvalid\n\tsample_3\tnats=3\tinvalid\n"
    assert [getattr(m, "id", "") for m in open_source(path=path)] == ["a", "sample_2", "sample_3"]


def test_options_are_checked(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN)
    for options, said in (
        ({"canonical": "trust"}, "did you mean 'trusted'"), ({"limit": -1}, "data.limit"), ({"colum": "a"}, "column"),
        ({"canonical": "trusted", "clean": ["salts"]}, "reads no molecule"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            open_source(path=path, **options)
    with pytest.raises(ConfigError, match="did you mean 'moses'"):
        open_source(data="mose")
    with pytest.raises(ConfigError, match="files of your own"):
        open_source(data="esol", column="smiles")
    with pytest.raises(InputError):
        open_source(path=tmp_path / "none.smi")
    assert len(list(open_source(path=path, limit=3))) == 3
