"""The command line: one command in, an exit code and lines for a person out."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import compose
from pipelines.examples import GUIDES
from pipelines.options import leaves
from pipelines.run_record import RunRecord
from pipelines.verbs import VERBS, again
from tests.conftest import TINY, foretell_cli, write_genome

Captured = pytest.CaptureFixture[str]


def refused(capsys: Captured, *arguments: object) -> tuple[int, str]:
    """The exit code, and what was said on stderr."""
    code = foretell_cli(*arguments)
    return code, capsys.readouterr().err


def test_help_names_every_verb(capsys: Captured) -> None:
    assert foretell_cli("--help") == 0
    page = capsys.readouterr().out
    for verb in [
        "prepare",
        "train",
        "finetune",
        "evaluate",
        "sample",
        "predict",
        "report",
        "compare",
        "describe",
        "domains",
        "demo",
        "completion",
    ]:
        assert f"  {verb} " in page
    assert foretell_cli() == 2
    assert foretell_cli("--version") == 0
    assert capsys.readouterr().out.endswith("foretell 0.1.0\n")


COMPOSING = [name for name, verb in VERBS.items() if verb.composes]
PLAIN = [name for name, verb in VERBS.items() if not verb.composes]


@pytest.mark.parametrize("verb", COMPOSING)
def test_help_of_a_verb_tells_each_key_the_ones_that_matter_first(verb: str, capsys: Captured) -> None:
    """Nothing is wider than the terminal but commands, which can't be broken."""
    assert foretell_cli(verb, "--help") == 0
    page = capsys.readouterr().out
    assert page.startswith(f"foretell {verb} key=value")
    assert "  seed=0\n      What everything random is a function of." in page
    shown = [line.strip().partition("=")[0] for line in page.splitlines() if line.startswith("  ") and "=" in line]
    keys = leaves(VERBS[verb].options())
    assert set(keys) <= set(shown)
    places = [page.index(f"\n  {key}=") for key in (GUIDES[verb].keys[0], *(k for k in keys if k == "device"))]
    assert places == sorted(places)
    assert page.index("Examples:") < page.index("Keys that matter most:") < page.index("Keys of every verb:")


@pytest.mark.parametrize("verb", PLAIN)
def test_help_of_a_plain_verb_shows_its_flags_and_examples(verb: str, capsys: Captured) -> None:
    assert foretell_cli("help", verb) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"usage: foretell {verb}")
    for what, line in GUIDES[verb].examples:
        assert f"# {what}\n  {line}" in page


def test_help_is_as_wide_as_the_terminal(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (70, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert foretell_cli("train", "--help") == 0
        lines = capsys.readouterr().out.splitlines()
        texts = [line for line in lines if not line.startswith(("  foretell ", "  # ")) and "=" not in line.split()[:1]]
        assert max(len(line) for line in texts if " " in line.strip()) <= columns


@pytest.mark.parametrize("verb", list(GUIDES))
def test_every_example_of_help_can_be_typed(verb: str) -> None:
    """Keys that matter exist, and the command lines compose (or are read by the verb's parser)."""
    words = [shlex.split(line) for _, line in GUIDES[verb].examples]
    for _, asked, *arguments in (w for w in words if w[0] == "foretell"):
        assert asked == verb
        if VERBS[verb].composes:
            compose.compose(verb, VERBS[verb].options(), arguments)
        else:
            VERBS[verb].parser().parse_args(arguments)
    if VERBS[verb].composes:
        known = {*leaves(VERBS[verb].options()), *compose.GROUPS}
        assert [k for k in GUIDES[verb].keys if k not in known and k not in GUIDES[verb].notes] == []
    assert set(GUIDES) == set(VERBS)


def test_who_stops_a_command_is_told_how_to_go_on(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: RunRecord) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunRecord, "config", property(stopped))
    code, err = refused(capsys, "report", "run=my run")
    assert code == 130
    assert err == "foretell: error: stopped by Ctrl-C\n  The same command begins anew: foretell report 'run=my run'\n"
    code, err = refused(capsys, "compare", "a")
    assert (code, err.endswith("begins anew: foretell compare a\n")) == (130, True)
    assert "goes on from there: foretell train" in again(["train", "run=r"])


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("trane",), "unknown verb 'trane'; did you mean 'train'?"),
        (("train", "trainig.lr=1"), "unknown key 'trainig.lr'; did you mean 'training.lr'?"),
        (("train", "lr=1"), "did you mean 'training.lr'?"),
        (("train", "training.learning_rate=1"), "did you mean 'training.lr'?"),
        (("train", "d_modl=1"), "did you mean 'model.width'?"),
        (("domains", "--jsn"), "did you mean '--json'?"),
        (("domains", "protein"), "did you mean 'proteins'?"),
        (("train", "model.widht=3"), "unknown key 'model.widht'; did you mean 'model.width'?"),
        (("train", "+foo=1"), "unknown key 'foo'"),
        (("train", "model=mamba3"), "unknown model 'mamba3'; did you mean 'mamba'?"),
        (("train", "experiment=dna_smok"), "did you mean 'dna_smoke'?"),
        (("train", "training.lr=fast"), "training.lr='fast': expected a number"),
        (("train", "training.lr=1,2"), "a sweep needs --multirun"),
        (("train", "run=x"), "store= is required"),
        (("train", "workers=-1"), "workers: got -1"),
        (("train", "plugins=no_such_module_here"), "plugins: no_such_module_here cannot be imported"),
        (("train", "hydra.run.dir=x"), "keys of Hydra itself"),
        (("train", "--config-path=x"), "--config-path is not offered"),
        (("train", "--json"), "unknown flag '--json'; these verbs have it: compare, describe, domains"),
        (("sample", "--multrun"), "did you mean '--multirun'"),
        (("evaluate", "--nothing"), "unknown flag '--nothing'\n  Keys are written without dashes"),
        (("train", "--experimental-rerun=x.pickle"), "--experimental-rerun is not offered"),
        (("train", "training"), "expected key=value, got 'training'"),
        (("prepare", "domain=dnna", "data=ecoli", "store=x.zarr"), "did you mean 'dna'?"),
        (("prepare", "domain=dna", "store=x.zarr"), "either data=NAME or data.path=FILES, got neither"),
        (("prepare", "domain=dna", "data=ecoly", "store=x.zarr"), "did you mean 'ecoli'?"),
        (("prepare", "domain=dna", "data=ecoli"), "store= is required"),
        (("finetune", "init_from=x", "task=clasify"), "did you mean 'classify'?"),
        (("predict", "bundle=x", "input=y", "output=z", "what=scores"), "there is no bundle at x"),
        (("describe", "/nowhere"), "there is nothing at /nowhere"),
        (("report", "run=/nowhere"), "there is no run folder at /nowhere"),
        (("demo", "domains=dnaa"), "unknown domain 'dnaa'; did you mean 'dna'?"),
    ],
)
def test_usage_errors_exit_with_2(
    arguments: tuple[str, ...], said: str, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, err = refused(capsys, *arguments)
    assert code == 2
    assert said in err
    assert err.startswith("foretell: error: ")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []  # nothing was made, Hydra's folders least of all


def test_bad_arguments_of_a_plain_verb_exit_with_2(capsys: Captured) -> None:
    assert foretell_cli("describe") == 2
    assert foretell_cli("domains", "--jsn") == 2


def test_bad_input_exits_with_3(capsys: Captured, tmp_path: Path) -> None:
    protein = tmp_path / "protein.fa"
    protein.write_text(">p1\nMKVLAAGIVGLPFEEWQ\n>p2\nMSTNPKPQRKTKRNTNRRPQDVKFPGG\n")
    code, err = refused(capsys, "prepare", "domain=dna", f"data.path={protein}", f"store={tmp_path / 'x.zarr'}")
    assert code == 3
    assert not (tmp_path / "x.zarr").exists()
    code, err = refused(capsys, "prepare", "domain=dna", "data.path=/no/such.fa", f"store={tmp_path / 'x.zarr'}")
    assert code == 3
    assert "/no/such.fa" in err


def test_a_run_folder_of_another_run_exits_with_4_and_shows_the_difference(
    dna_run: Path, dna_store: Path, capsys: Captured
) -> None:
    code, err = refused(capsys, "train", f"store={dna_store}", f"run={dna_run}", *TINY, "training.lr=0.5", "seed=3")
    assert code == 4
    assert "training.lr: 0.003 -> 0.5" in err
    assert "seed: 0 -> 3" in err


def test_a_folder_that_is_no_run_is_left_alone(dna_store: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    code, err = refused(capsys, "train", f"store={dna_store}", f"run={tmp_path}", *TINY)
    assert code == 2
    assert "is not empty and holds no run" in err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_of_another_tokenizer_exits_with_4(
    dna_run: Path, dna_genome: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "kmers.zarr"
    assert (
        foretell_cli(
            "prepare", "domain=dna", f"data.path={dna_genome}", f"store={other}", "tokenizer=dna_kmer", "tokenizer.k=3"
        )
        == 0
    )
    for verb in (
        ("evaluate", f"bundle={dna_run}", f"store={other}"),
        ("predict", f"bundle={dna_run}", f"input={other}", f"output={tmp_path / 'p.zarr'}"),
        ("train", f"store={other}", f"run={tmp_path / 'r'}", f"init_from={dna_run}", *TINY),
        ("train", f"store=[{dna_run.parent / 'genome.zarr'},{other}]", f"run={tmp_path / 'r'}", *TINY),
    ):
        code, err = refused(capsys, *verb)
        assert code == 4, verb
        assert "tokenizer" in err


def test_an_output_that_cannot_be_written_exits_with_5(dna_genome: Path, tmp_path: Path, capsys: Captured) -> None:
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    if os.geteuid() == 0:  # root may write anywhere but into the kernel's own file system
        place = Path("/sys")
        if not place.is_dir():
            pytest.skip("as root, and without /sys, no place refuses")
    code, err = refused(capsys, "prepare", "domain=dna", f"data.path={dna_genome}", f"store={place / 'x.zarr'}")
    assert code == 5
    assert "x.zarr" in err


def test_a_full_disk_exits_with_5_and_leaves_nothing(tmp_path: Path, capsys: Captured) -> None:
    resource = pytest.importorskip("resource")
    genome = write_genome(tmp_path / "genome.fa", 200_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # no file may grow beyond: as good as a full disk
    try:
        code, _ = refused(capsys, "prepare", "domain=dna", f"data.path={genome}", f"store={tmp_path / 'x.zarr'}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 5
    assert [p.name for p in tmp_path.iterdir() if "zarr" in p.name and p.is_dir()] == []


def test_training_that_diverges_exits_with_6(dna_store: Path, tmp_path: Path, capsys: Captured) -> None:
    code, err = refused(
        capsys, "train", f"store={dna_store}", f"run={tmp_path / 'r'}", *TINY, "training.lr=1e30", "training.clip=0"
    )
    assert code == 6
    assert "diverged" in err


def test_sigterm_saves_the_run_and_exits_with_143(dna_store: Path, tmp_path: Path, capsys: Captured) -> None:
    tiny = [key for key in TINY if not key.startswith("training.")]
    keys = [f"store={dna_store}", f"run={tmp_path / 'r'}", *tiny, "training.steps=100000", "training.val_every=100000"]
    command = [sys.executable, "-m", "pipelines.cli", "train", *keys]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    steps = tmp_path / "r" / "steps.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (steps.exists() and steps.read_text().count("\n") >= 3):
        time.sleep(0.1)
    assert foretell_cli("describe", tmp_path / "r") == 0
    assert "running" in capsys.readouterr().out
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "foretell: error:" in err
    saved = max(int(p.name.removeprefix("step-")) for p in (tmp_path / "r" / "checkpoints").iterdir())
    assert saved == steps.read_text().count("\n") >= 3


def test_a_sweep_runs_all_jobs_and_exits_with_the_first_failure(
    dna_store: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layers = [key for key in TINY if not key.startswith("model.layers")]
    job = ("train", "--multirun", f"store={dna_store}")
    assert foretell_cli(*job, "run=r${model.layers}", *layers, "model.layers=-1,1") == 2
    assert "job 0" in (err := capsys.readouterr().err)
    assert "model.layers: got -1" in err
    assert [p.name for p in tmp_path.iterdir()] == ["r1"]  # the second job ran; no multirun/ folder
    assert foretell_cli(*job, "run=r${model.layers}", *layers, "model.layers=1") == 0
    assert foretell_cli(*job, "run=r1", *TINY, "seed=5,6") == 4
    assert foretell_cli(*job, "run=d", *TINY, "training.lr=1e30", "training.clip=0") == 6
    assert foretell_cli("prepare", "-m", "domain=dna", "data.path=/no/such.fa", "store=s${seed}", "seed=1,2") == 3


def test_odd_paths(dna_genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "reads[1].fa").write_text(dna_genome.read_text())
    assert foretell_cli("prepare", "domain=dna", "data.path=reads[1].fa", "store=a,b.zarr") == 0
    assert foretell_cli("train", "store=a,b.zarr", "run=run#1", *TINY) == 0
    assert foretell_cli("sample", "bundle=run#1", "n=2", "max_length=20", "out=~/größe x.fasta") == 0
    assert (tmp_path / "home" / "größe x.fasta").read_text().count(">") == 2


def test_a_traceback_is_shown_only_on_request(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETELL_TRACEBACK", "1")
    assert foretell_cli("trane") == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from pipelines.cli import main; sys.exit(main(['domains', '--json']))",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_an_import_that_ctrl_c_cuts_short_is_no_defect(monkeypatch, capsys):
    def half_imported(given):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise AttributeError("partially initialized module") from None

    monkeypatch.setattr("pipelines.cli._command", half_imported)
    assert foretell_cli("predict", "bundle=b") == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err
