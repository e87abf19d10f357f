"""Tables of labels with something wrong, from `prepare` to the refusal, as a user types it."""

import numpy as np
import pytest

import foretell
from core.errors import IntegrityError
from tests.conftest import TINY, foretell_cli

COLUMNS = ("id", "sequence", "activity", "kind", "part")
LEAST = ("supervised.epochs=0", "supervised.resamples=100", "threads=1")


def table(path, changed=None, rows=60):
    """A good table; `changed` sees each line's cells by name and may spoil them."""
    rng = np.random.default_rng(0)
    lines = [",".join(COLUMNS)]
    for i in range(rows):
        letters = "".join(rng.choice(list("ACGT"), 24))
        share = letters.count("T") / 24
        part = "test" if i % 5 == 4 else "validation" if i % 5 == 3 else "train"
        cells = dict(
            zip(COLUMNS, (f"r{i}", letters, f"{share:.3f}", "high" if share > 0.25 else "low", part), strict=True)
        )
        if changed:
            changed(i, cells)
        lines.append(",".join(cells.values()))
    path.write_text("\n".join(lines) + "\n")
    return path


def prepared(path, store, *keys, domain="dna", labels="[activity,kind]"):
    given = [f"domain={domain}", f"data.path={path}", f"data.labels={labels}", "progress=false", f"store={store}"]
    return foretell_cli("prepare", *given, "data.split_column=part", *keys)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    assert prepared(table(folder / "good.csv"), folder / "good.zarr") == 0
    keys = [f"store={folder / 'good.zarr'}", f"run={folder / 'run'}", *TINY, "batching.kind=buckets"]
    assert foretell_cli("train", *keys) == 0
    return folder / "run"


def one_class(i, cells):
    cells["kind"] = "low"


def unseen_class(i, cells):
    if cells["part"] == "test" and i % 2:
        cells["kind"] = "odd"


def no_test(i, cells):
    cells["part"] = cells["part"].replace("test", "train")


def tells_the_part(i, cells):
    cells["kind"] = f"from_{cells['part']}"


def copies(i, cells):
    if i in (1, 2):
        cells["sequence"], cells["kind"] = "ACGTTGCAACGTTGCAACGTTGCA", ("low", "high")[i - 1]


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (one_class, ("'kind' is 'low' in all 60",)),
        (unseen_class, ("odd does not occur", "train")),
        (no_test, ("test",)),
        (tells_the_part, ("kind", "split")),
        (copies, ("conflicts",)),
    ],
)
def test_what_cannot_be_learned_is_refused_before_anything_is_trained(tmp_path, base, capsys, spoilt, says):
    store, run = tmp_path / "own.zarr", tmp_path / "run"
    assert prepared(table(tmp_path / "own.csv", spoilt), store, f"tokenizer_from={base}") == 0
    capsys.readouterr()
    keys = [f"init_from={base}", f"store={store}", f"run={run}", "task=classify", "label=kind", *LEAST]
    assert foretell_cli("finetune", *keys) == 3
    told = capsys.readouterr().err
    assert all(part in told for part in says), told
    assert not run.exists()
    if spoilt is copies:
        assert foretell_cli("finetune", *keys, "supervised.conflicts=drop") == 0


def test_a_column_that_is_not_there_has_its_nearest_named(tmp_path, capsys):
    assert prepared(table(tmp_path / "own.csv"), tmp_path / "own.zarr", labels="[activty]") == 2
    assert "did you mean 'activity'" in capsys.readouterr().err
    assert not (tmp_path / "own.zarr").exists()


def test_a_text_among_numbers_is_a_record_less_or_an_error(tmp_path, base, capsys):
    def mixed(i, cells):
        if i == 7:
            cells["activity"] = "high"

    path, store = table(tmp_path / "own.csv", mixed), tmp_path / "own.zarr"
    assert prepared(path, store, f"tokenizer_from={base}") == 3
    assert "1 of 60 records (1.67 %) were rejected (1 bad_label)" in capsys.readouterr().err
    assert prepared(path, store, f"tokenizer_from={base}", "max_bad=0.1") == 0
    assert "high" in (tmp_path / "own.zarr.rejects.jsonl").read_text()


def test_holes_and_letters_that_are_none_are_counted(tmp_path, base, capsys):
    def spoilt(i, cells):
        if i in (10, 11):
            cells["activity"] = ("", "nan")[i - 10]
        if i == 12:
            cells["sequence"] = "ACGT!ACGT"

    store = tmp_path / "own.zarr"
    given = (f"tokenizer_from={base}", "max_bad=0.1")
    assert prepared(table(tmp_path / "own.csv", spoilt), store, *given) == 0
    said = capsys.readouterr().out
    assert "60 read, 59 kept, 1 rejected" in said
    assert "missing in 2 of 59 records" in said
    keys = [f"init_from={base}", f"store={store}", f"run={tmp_path / 'run'}", "task=regress", "label=activity"]
    assert foretell_cli("finetune", *keys, *LEAST) == 0
    assert "57 of 59 records have one, 2 without were left out" in capsys.readouterr().out


def test_what_belongs_to_another_base_is_refused(tmp_path, base, capsys):
    proteins = tmp_path / "proteins.zarr"
    table(tmp_path / "own.csv")
    peptides = tmp_path / "peptides.csv"
    peptides.write_text("sequence,activity\n" + "".join(f"MKLV{'ADEF'[i % 4]}KLLWYA,{i}\n" for i in range(20)))
    given = ["domain=proteins", f"data.path={peptides}", "data.labels=[activity]", f"store={proteins}"]
    assert foretell_cli("prepare", *given, "progress=false") == 0
    keys = [f"init_from={base}", f"store={proteins}", f"run={tmp_path / 'run'}", "task=regress", "label=activity"]
    assert foretell_cli("finetune", *keys, *LEAST) == 4
    assert "domain" in capsys.readouterr().err
    pytest.importorskip("peft")
    own = tmp_path / "own.zarr"
    assert prepared(tmp_path / "own.csv", own, f"tokenizer_from={base}") == 0
    tuned = [f"init_from={base}", f"store={own}", f"run={tmp_path / 'tuned'}", "task=regress", "label=activity"]
    assert foretell_cli("finetune", *tuned, *LEAST, "adapter=lora", f"adapter_out={tmp_path / 'adapter'}") == 0
    other = [f"store={own}", f"run={tmp_path / 'other'}", *TINY, "batching.kind=buckets", "seed=5"]
    assert foretell_cli("train", *other) == 0
    with pytest.raises(IntegrityError, match="another"):
        foretell.load(tmp_path / "other", adapter=tmp_path / "adapter")
