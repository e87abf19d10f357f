"""The commands and the Python of a Markdown page, and how they are run small: in this process, on data made by code.

Shell blocks are fenced with ```sh, Python with ```python. A command that is neither `foretell ...` nor known here is an
error: a page may not show what nobody has run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.conftest import TINY, foretell_cli, write_genome

_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MODEL = [key for key in TINY if key not in ("progress=false", "threads=1")]
_EVALUATION = ["evaluation.samples=2", "evaluation.sample_length=40", "evaluation.strand_bases=200"]
_DATA = ["data.name=null", "data.path=made_by_code.fa"]
_PATCHES = [key for key in _MODEL if not key.startswith("batching.length")] + ["batching.length=96"]

REDUCED: dict[str, list[str]] = {
    "train": [*_MODEL, "threads=1", "progress=false"],
    "finetune": [key for key in TINY if not key.startswith(("model", "size"))],
    "evaluate": _EVALUATION,
    "sample": ["n=2", "max_length=20"],
    "demo": [
        "progress=false",
        "threads=1",
        f"prepare=[{','.join(_DATA)}]",
        f"train=[{','.join(_MODEL)}]",
        f"evaluate=[{','.join(_EVALUATION)}]",
        "sample=[n=2,max_length=20]",
    ],
}
"""Keys that make each verb quick on DNA; they replace the page's own of the same name."""

OTHERS: dict[str, dict[str, list[str]]] = {
    "time_series": {
        "prepare": ["data.name=null", "data.path=series.csv"],
        "train": [*_PATCHES, "threads=1", "progress=false"],
        "evaluate": ["evaluation.origins=3", "evaluation.ridge_lags=0", "evaluation.resamples=100"],
        "sample": ["n=2", "max_length=96"],
    },
    "chaos": {
        "prepare": ["data.points=2000", "data.test_starts=2", "data.long_points=400", "data.long_trajectories=2"],
        "train": [*(key for key in _MODEL if not key.startswith("batching.length")), "batching.length=8", "threads=1"],
        "evaluate": ["evaluation.baselines=[persistence]", "evaluation.free_run=300"],
        "sample": ["n=2", "max_length=16"],
    },
    "proteins": {
        "train": [*_MODEL, "threads=1", "progress=false"],
        "finetune": [
            *(key for key in TINY if not key.startswith(("model", "size"))),
            *("supervised.epochs=1", "supervised.resamples=100", "adapter=head"),
        ],
        "evaluate": ["evaluation.samples=2", "evaluation.sample_length=40", "evaluation.resamples=100"],
        "sample": ["n=2", "max_length=20"],
    },
    "music": {
        "train": [
            *(key for key in _MODEL if not key.startswith("batching.length")),
            *("batching.length=128", "threads=1", "progress=false"),
        ],
        "evaluate": [
            *("evaluation.samples=2", "evaluation.sample_length=64", "evaluation.order=2", "evaluation.resamples=100"),
            "evaluation.sound=false",
        ],
        "sample": ["n=2", "max_length=160"],  # longer than the prompt, of 128 tokens
    },
    "molecules": {
        "prepare": ["data.workers=1"],
        "train": [*_MODEL, "threads=1", "progress=false"],
        "evaluate": [
            *("evaluation.samples=4", "evaluation.fcd=false", "evaluation.published=false"),
            *("evaluation.condition_samples=2", "evaluation.resamples=100"),
        ],
        "sample": ["n=2", "max_length=20"],
    },
    "graphs": {
        "prepare": ["data.count=30", "data.held_out=8"],
        "train": [
            *(key for key in _MODEL if not key.startswith("batching.length")),
            *("batching.length=256", "threads=1", "progress=false"),
        ],
        "evaluate": [
            *("evaluation.samples=4", "evaluation.grammar_samples=2", "evaluation.max_graphs=4"),
            *("evaluation.walks=2", "evaluation.resamples=100"),
        ],
        "sample": ["n=2", "max_length=40"],
    },
    "robots": {
        "prepare": ["data.episodes=10", "data.max_steps=40", "data.reference_episodes=0"],
        "train": [*_MODEL, "batching.stride=16", "threads=1", "progress=false"],
        "evaluate": ["evaluation.episodes=2", "evaluation.max_steps=20", "evaluation.resamples=100"],
        "sample": ["n=2", "max_length=20"],
    },
    "stacking": {
        "prepare": ["data.name=null", "data.path=crystals.stack", "split.rule=random"],
        "train": [*_MODEL, "threads=1", "progress=false"],
        "sample": ["n=2", "max_length=20"],
    },
    "task=tokens": {
        "train": [*_MODEL, "threads=1", "progress=false"],
        "finetune": [key for key in TINY if not key.startswith(("model", "size"))],
        "evaluate": ["evaluation.max_rows=5", "evaluation.resamples=100"],
    },
    "dna_traces": {
        "prepare": ["data.length=10", "data.clusters=300"],
        "train": [
            *(key for key in _MODEL if not key.startswith("batching.length")),
            *("batching.length=128", "threads=1", "progress=false"),
        ],
        "evaluate": ["evaluation.clusters=4", "evaluation.orders=2", "evaluation.resamples=100"],
        "sample": ["n=1", "max_length=80"],
    },
    "dna_dogma": {
        "prepare": [
            "data.name=null",
            "data.path=genes.gb",
            "data.format=coding",
            "data.codons=4",
            "tokenizer.name=null",
        ],
        "train": [*_MODEL, "threads=1", "progress=false"],
        "evaluate": ["evaluation.genes=4", "evaluation.resamples=100"],
    },
}
"""The same for pages about other domains."""
for _keys in OTHERS.values():
    _verbs = {verb: f"{verb}=[{','.join(keys)}]" for verb, keys in _keys.items()}
    _keys["demo"] = ["progress=false", "threads=1", *_verbs.values()]

NOT_RUN = ("git clone", "cd", "bash .ci/run", "open", "xdg-open", "python -m http.server", "pip install")
"""What a reader types that is not ours to test."""


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """Fenced blocks of sh and python, in order."""
    return [
        Block(match[1], match[2], page[: match.start()].count("\n") + 1)
        for match in _FENCE.finditer(page)
        if match[1] in ("sh", "python")
    ]


def commands(block: Block) -> list[str]:
    """The command lines of a shell block: continued lines joined, comments and a leading `$` dropped."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [bare for line in lines if (bare := re.sub(r"(^|\s)#\s.*$", "", line).strip().removeprefix("$ "))]


def domain_of(page: list[Block]) -> str:
    """What a page is about: the first `domain=` that it types; forms with keys of their own go before."""
    for form in ("dna_traces", "dna_dogma", "task=tokens"):
        if any(form in block.text for block in page):
            return form
    named = re.search(r"\bdomain=(\w+)", "\n".join(block.text for block in page if block.language == "sh"))
    return named[1] if named else "dna"


def reduced(arguments: list[str], domain: str = "dna") -> list[str]:
    """The arguments after `foretell`, small: budgets and sizes replaced, named data sets by a file."""
    verb, *given = arguments
    for argument in given:
        domain = argument.removeprefix("domains=").partition(",")[0] if argument.startswith("domains=") else domain
    extra = OTHERS.get(domain, REDUCED).get(verb, [])
    replaced = {key.partition("=")[0] for key in extra}
    if any(key.startswith("training.") for key in replaced):
        replaced |= {"training.minutes", "training.tokens"}
    kept = [argument for argument in given if argument.partition("=")[0] not in replaced]
    named = (
        domain == "dna"
        and verb == "prepare"
        and any(k.startswith(("data=", "data.name=", "experiment=")) for k in kept)
    )
    kept = [argument for argument in kept if not (named and argument.startswith(("data=", "data.name=")))]
    return [verb, *kept, *extra, *(_DATA if named else [])]


def make_files(folder: Path, domain: str) -> None:
    """The files that pages of a domain read."""
    if domain == "dna":
        write_genome(folder / "made_by_code.fa", 24_000)
        write_variants(folder)
    elif domain == "time_series":
        write_series(folder / "series.csv")
    elif domain == "chaos":
        write_states(folder / "trajectory.npy")
    elif domain in ("proteins", "task=tokens"):
        write_proteins(folder)
    elif domain == "molecules":
        write_molecules(folder)
    elif domain == "music":
        write_music(folder)
    elif domain == "dna_dogma":
        write_genes(folder / "genes.gb")
    elif domain == "stacking":
        write_crystals(folder / "crystals.stack")


def write_series(path: Path, hours: int = 720) -> None:
    """A long table of two hourly series with a daily rhythm."""
    stamps = np.datetime64("2024-01-01T00") + np.arange(hours)
    rows = ["unique_id,ds,y"]
    for name, level in (("a", 5.0), ("b", 50.0)):
        noise = np.random.default_rng(0).normal(size=hours)
        values = level * (2 + np.sin(2 * np.pi * np.arange(hours) / 24)) + noise
        rows += [f"{name},{stamp},{value:.4f}" for stamp, value in zip(stamps, values, strict=True)]
    path.write_text("\n".join(rows) + "\n")


def write_music(folder: Path) -> None:
    """A folder of pieces in four voices, and a book of tunes."""
    from domains.formats.midi_writing import midi_bytes
    from tests.domains.music.scores import TUNE, chorale

    (folder / "pieces").mkdir(exist_ok=True)
    for seed in range(20):
        (folder / "pieces" / f"piece_{seed}.mid").write_bytes(midi_bytes([chorale(seed, 8)]))
    rng = np.random.default_rng(0)
    tunes = [TUNE.replace("X:1", f"X:{n}") + "".join(rng.choice(list("ABcde|"), 30)) + "\n" for n in range(30)]
    (folder / "tunes.abc").write_text("\n".join(tunes))


def write_proteins(folder: Path) -> None:
    """Proteins, a wild type and a scan of it."""
    rng, letters = np.random.default_rng(0), np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    proteins = ["M" + "".join(rng.choice(letters, rng.integers(30, 60))) for _ in range(60)]
    (folder / "proteins.fa").write_text("".join(f">p{i}\n{p}\n" for i, p in enumerate(proteins)))
    wild = proteins[0]
    (folder / "wild_type.fa").write_text(f">wild\n{wild}\n")
    rows = [f"{wild[i]}{i + 1}{b},{rng.normal():.3f}" for i in range(1, 30) for b in "ACDEFGHIKL" if b != wild[i]]
    (folder / "scan.csv").write_text("mutant,DMS_score\n" + "\n".join(rows) + "\n")
    lines = ["sequence,soluble,activity,sites"]
    for p in proteins:
        at = p.find("C") + 1
        lines.append(f"{p},{('no', 'yes')[p.count('K') > 2]},{p.count('W') / len(p):.3f},{f'{at};' if at else 'none'}")
    (folder / "assays.csv").write_text("\n".join(lines) + "\n")


def write_molecules(folder: Path) -> None:
    """Chains with ends as a list of SMILES, and a table of them with a number that their size decides."""
    ends = ("O", "N", "Cl", "c1ccccc1", "C(=O)O", "C1CC1", "C#N", "c1ccncc1")
    chains = ["C" * n + "O" * o + end for n in range(1, 9) for o in (0, 1) for end in ends]
    (folder / "molecules.smi").write_text("".join(f"{smiles} m{i}\n" for i, smiles in enumerate(chains)))
    rows = "".join(f"{smiles},{len(smiles) + 0.5}\n" for smiles in chains)
    (folder / "assay.csv").write_text("smiles,pic50\n" + rows)


def write_variants(folder: Path) -> None:
    """A genome, and a VCF file of a change, an insertion and a deletion in it."""
    letters = "".join(write_genome(folder / "genome.fa", 24_000).read_text().splitlines()[1:])
    rows = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT"]
    for at in (100, 5_000, 20_000):
        ref, other = letters[at : at + 2], "A" if letters[at] != "A" else "C"
        rows.append(f"chr1\t{at + 1}\t.\t{ref}\t{other}{ref[1]},{ref}T,{ref[0]}")
    (folder / "calls.vcf").write_text("\n".join(rows) + "\n")


def write_crystals(path: Path) -> None:
    """Stacks of layers, none on its own kind."""
    steps = np.random.default_rng(0).integers(1, 3, (40, 60)).cumsum(axis=1) % 3
    path.write_text("".join(f"c{i} {''.join('ABC'[s] for s in row)}\n" for i, row in enumerate(steps)))


def write_genes(path: Path) -> None:
    """Coding regions of made genes in a GenBank file."""
    from Bio.Seq import Seq
    from Bio.SeqFeature import SeqFeature, SimpleLocation
    from Bio.SeqRecord import SeqRecord

    draw, codons = np.random.default_rng(0), np.array(["ATG", "GCT", "AAA", "TGG", "GAA", "CCC"])
    with path.open("w") as file:
        for i in range(120):
            letters = "".join(codons[draw.integers(6, size=4)])
            region = SeqFeature(SimpleLocation(0, 12, 1), type="CDS", qualifiers={"gene": [f"g{i}"]})
            name, kind = f"G{i}", {"molecule_type": "DNA"}
            record = SeqRecord(Seq(letters), id=name, name=name, annotations=kind, features=[region])
            file.write(record.format("genbank"))


def write_states(path: Path, steps: int = 400) -> None:
    """A .npy trajectory of three channels."""
    t = np.arange(steps)[:, None] * np.array([0.1, 0.17, 0.23])
    np.save(path, np.sin(t) + 0.2 * np.sin(3 * t))


def run(command: str, folder: Path, domain: str = "dna") -> None:
    """Runs one command line of a page with `folder` as the working directory. Raises AssertionError where it fails."""
    words = shlex.split(command)
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", Path(__file__).parents[2].joinpath("Makefile").read_text(), re.MULTILINE)
        wanted = [word for word in words[1:] if "=" not in word]
        assert set(wanted) <= set(targets), f"the Makefile has no target of {wanted}"
        return
    if words[0] == "python" and words[1].startswith("benchmarks/"):  # tests/benchmarks run them in a reduced form
        script = (Path(__file__).parents[2] / words[1]).read_text()
        unknown = [word for word in words if word.startswith("--") and f'"{word}"' not in script]
        assert not unknown, f"{words[1]} knows no {unknown}"
        return
    if command.startswith(NOT_RUN):
        return
    assert words[0] == "foretell", f"the page shows a command that the test does not know: {command}"
    for word in words:
        if word.startswith("data.path=") and "*" not in word:
            for name in word.partition("=")[2].strip("[]").split(","):
                if not (folder / name).exists() and domain == "dna":
                    write_genome(folder / name, 24_000)
    for name in ("dna", *OTHERS):
        make_files(folder, name)
    code = foretell_cli(*(words[1:] if words[1].startswith("-") else reduced(words[1:], domain)))
    assert code == 0, f"exit code {code}: {command}"
