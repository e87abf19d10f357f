"""The commands and the Python of a Markdown page, and how they are run small: in this process, on data made by code.

Shell blocks are fenced with ```sh, Python with ```python. A command that is neither `foretell ...` nor known here is an
error: a page may not show what nobody has run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import TINY, foretell_cli, write_genome

_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MODEL = [key for key in TINY if key not in ("progress=false", "threads=1")]
_EVALUATION = [
    *("evaluation.samples=2", "evaluation.sample_length=40", "evaluation.strand_bases=200"),
    *("evaluation.markov_order=3", "evaluation.resamples=100"),
]
_DATA = ["data.name=null", "data.path=made_by_code.fa"]
_PATCHES = [key for key in _MODEL if not key.startswith("batching.length")] + ["batching.length=168"]
_LABELS = ["supervised.epochs=1", "supervised.resamples=100", "supervised.max_leakage=1", "adapter=head"]
_NAMED = ("data=", "data.name=", "experiment=")


def _goes_on(train: list[str]) -> list[str]:
    """Keys of `finetune`: those of `train` that the bundle does not settle."""
    return [*(key for key in train if not key.startswith(("model", "size"))), *_LABELS]


REDUCED: dict[str, list[str]] = {
    "train": [*_MODEL, "threads=1", "progress=false"],
    "finetune": _goes_on([*TINY]),
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
        "evaluate": [
            *("evaluation.episodes=2", "evaluation.max_steps=20", "evaluation.resamples=100"),
            *("evaluation.film=false", "evaluation.baselines=[random]"),
        ],
        "sample": ["n=2", "max_length=20"],
    },
    "stacking": {
        "prepare": ["data.name=null", "data.path=crystals.stack", "split.rule=random"],
        "train": [*_MODEL, "threads=1", "progress=false"],
        "sample": ["n=2", "max_length=20"],
    },
    "task=tokens": {
        "train": [*_MODEL, "threads=1", "progress=false"],
        "finetune": [key for key in TINY if not key.startswith(("model", "size", "batching.length"))],
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
STAND_INS: dict[str, dict[str, list[str]]] = {
    "dna": {"": _DATA},
    "proteins": {
        "": ["data.name=null", "data.path=proteins.fa"],
        "data=nisthal": ["data.name=null", "data.path=scan.csv", "data.reference=wild_type.fa"],
    },
    "molecules": {
        "": ["data.name=null", "data.path=molecules.smi", "data.limit=0"],
        "data=esol": ["data.name=null", "data.path=assay.csv", "data.labels=[pic50]", "data.scaffolds=true"],
    },
    "time_series": {"": ["data.name=null", "data.path=series.csv"]},
    "music": {"": ["data.name=null", "data.path=pieces/"]},
    "graphs": {"": ["data.count=30", "data.held_out=8"]},
}
"""Keys of `prepare` for a data set that a page takes by name and that would be fetched or made; "" is any other."""

for _name, _keys in OTHERS.items():
    _found = {"prepare": STAND_INS.get(_name, {}).get("", []), **_keys}
    _verbs = [f"{verb}=[{','.join(keys)}]" for verb, keys in _found.items() if keys]
    _keys["demo"] = ["progress=false", "threads=1", *_verbs]
    _keys.setdefault("finetune", _goes_on(_keys["train"]))

NOT_RUN = (
    "head",
    "cut",
    "cat",
    "zcat",
    "git clone",
    "cd",
    "bash .ci/run",
    "open",
    "xdg-open",
    "python -m http.server",
    "pip install",
)
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
    extra = list(OTHERS.get(domain, REDUCED).get(verb, []))
    named = [argument for argument in given if argument.startswith(_NAMED)] if verb == "prepare" else []
    if named and domain in STAND_INS:
        files = STAND_INS[domain]
        extra += next((files[name] for name in named if name in files), files[""])
    replaced = {key.partition("=")[0] for key in extra}
    if "data.path" in replaced:
        replaced.add("data")
    if any(key.startswith("training.") for key in replaced):
        replaced |= {"training.minutes", "training.tokens"}
    return [verb, *(argument for argument in given if argument.partition("=")[0] not in replaced), *extra]


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
    code = foretell_cli(*(words[1:] if words[1].startswith("-") else reduced(words[1:], domain)))
    assert code == 0, f"exit code {code}: {command}"
