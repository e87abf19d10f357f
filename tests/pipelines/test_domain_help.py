"""`foretell VERB domain=NAME --help` shows the keys of that domain, and no heavy library is loaded for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from domains import DOMAINS
from tests.conftest import foretell_cli

Captured = pytest.CaptureFixture[str]


def page(capsys: Captured, *words: str) -> str:
    assert foretell_cli(*words, "--help") == 0
    return capsys.readouterr().out


def test_prepare_shows_keys_data_sets_tokenizers_and_presets(capsys: Captured) -> None:
    text = page(capsys, "prepare", "domain=dna")
    for shown in (
        "\nDNA, data: sequences:\n  data.format=auto\n",
        "\nDNA, tokenizer=dna_nucleotide:\n",
        "  tokenizer.reverse_complement=0.5\n",
        "Other tokenizers (tokenizer=KIND): dna_kmer,",
        "  ecoli: Escherichia coli",
        "presets (experiment=NAME): dna_cross_genus_small,",
    ):
        assert shown in text
    assert "evaluation." not in text
    assert text.index("Keys that matter most:") < text.index("DNA, data") < text.index("Further keys")
    assert "  tokenizer.k=6\n" in page(capsys, "prepare", "tokenizer=dna_kmer", "domain=dna")


def test_each_verb_shows_what_is_its_own(capsys: Captured) -> None:
    assert "  evaluation.strand_bases=" in page(capsys, "evaluate", "domain=dna")
    assert "  input.column=null\n" in page(capsys, "predict", "domain=proteins")
    assert "Robots, presets (experiment=NAME): " in page(capsys, "sample", "domain=robots")
    assert "Chaos, presets (experiment=NAME): " in page(capsys, "train", "experiment=chaos_smoke")
    assert "foretell train domain=dna --help" in page(capsys, "train")
    assert "domain=dna --help" not in page(capsys, "report")


@pytest.mark.parametrize("verb", ["prepare", "predict", "evaluate"])
@pytest.mark.parametrize("domain", DOMAINS.names())
def test_every_domain_has_keys_to_show(verb: str, domain: str, capsys: Captured) -> None:
    prefix = {"prepare": "data", "predict": "input", "evaluate": "evaluation"}[verb]
    title = DOMAINS.get(domain).title
    section = page(capsys, verb, f"domain={domain}").partition(f"\n{title}, ")[2].partition("\nFurther keys")[0]
    assert section.count(f"\n  {prefix}.") >= 3


@pytest.mark.parametrize(
    "words, said",
    [(("domain=dnaa",), "did you mean 'dna'?"), (("domain=dna", "tokenizer=dna_kmr"), "did you mean 'dna_kmer'?")],
)
def test_what_there_is_not_is_refused(words: tuple[str, ...], said: str, capsys: Captured) -> None:
    assert foretell_cli("prepare", *words, "--help") == 2
    assert said in capsys.readouterr().err


def test_help_of_a_domain_loads_nothing_heavy() -> None:
    heavy = ("torch", "matplotlib", "Bio", "hydra", "pandas", "scipy", "domains.robots.evaluation")
    code = f"""
import sys
from pipelines.cli import main
main(["evaluate", "domain=robots", "--help"])
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "evaluation.episodes" in ran.stdout
    assert ran.stderr.strip() == "[]"
