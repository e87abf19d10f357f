"""Completion: what may follow is what the verbs take, and a real bash fills it in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import ConfigError
from pipelines.completion import CHOICES, candidates, main
from pipelines.options import leaves
from pipelines.verbs import VERBS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("foretell ", list(VERBS)),
        ("foretell pre", ["prepare", "predict"]),
        ("foretell train training.mom", ["training.momentum="]),
        ("foretell train threads=1 thr", []),
        ("foretell prepare domain=mus", ["domain=music"]),
        ("foretell prepare domain=graphs tokenizer=graph_se", ["tokenizer=graph_sent"]),
        ("foretell prepare domain=music data=cho", ["data=chorales"]),
        ("foretell predict launcher=s", ["launcher=slurm"]),
        ("foretell train experiment=chaos_sm", ["experiment=chaos_small", "experiment=chaos_smoke"]),
        ("foretell prepare domain=dna data.be", ["data.bed="]),
        ("foretell prepare domain=dna tokenizer=dna_kmer tokenizer.k", ["tokenizer.k="]),
        ("foretell prepare data.be", []),
        ("foretell describe ", []),
        ("foretell describe --", ["--help", "--json", "--verify"]),
        ("foretell domains pro", ["proteins"]),
        ("foretell completion z", ["zsh"]),
        ("foretell trane ", []),
    ],
)
def test_what_may_follow(line: str, found: list[str]) -> None:
    assert candidates(line) == found


def test_every_key_of_a_verb_is_offered_and_every_choice_is_taken() -> None:
    from core.kernels import KERNELS
    from core.launch import LAUNCHERS
    from core.training.config import SCHEDULES
    from core.training.optimizers import OPTIMIZERS

    keys = leaves(VERBS["train"].options())
    assert {f"{key}=" for key in keys} <= set(candidates("foretell train "))
    assert set(CHOICES["training.schedule"]) == set(SCHEDULES)
    assert set(CHOICES["training.optimizer"]) == set(OPTIMIZERS.names())
    assert set(CHOICES["launcher"]) == set(LAUNCHERS.names())
    assert set(CHOICES["kernel"]) == {"auto", *(kernel.name for kernels in KERNELS.values() for kernel in kernels)}


def test_an_unknown_shell_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fish'"):
        main(["fihs"])


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_fills_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bash"]) == 0
    command = tmp_path / "foretell"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m pipelines.cli "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "script.sh"
    script.write_text(capsys.readouterr().out.replace("compopt", ": compopt"))  # it works in an interactive shell only
    typed = (
        f"PATH={tmp_path}:$PATH; . {script}; COMP_LINE='foretell prepare domain=mo'; COMP_POINT=${{#COMP_LINE}}; "
        'COMP_WORDS=(foretell prepare domain = mo); COMP_CWORD=4; _foretell; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["molecules"]
