"""What a user of each verb wants to see first: the keys that are set in practice, and commands to start from.

`foretell VERB --help` and the reference of the documentation show both. A test composes every command and looks every
key up, so neither can fall behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Guide:
    examples: tuple[tuple[str, str], ...]
    """What it does, and the command line."""
    keys: tuple[str, ...] = ()
    """Beside the required ones, those that a user sets in practice, most wanted first; groups of configs among them."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a key means where it has no text of its own: a group of configs, or a key below an open field."""


_NOTES = {
    "size": "xs, s, m or l: about 0.3, 2, 10 and 100 million parameters.",
    "model": "The backbone: transformer, mamba, mamba2 or hybrid.",
    "experiment": "A preset of keys, DOMAIN_smoke (a minute), DOMAIN_small (20 minutes), DOMAIN_paper (a GPU) "
    "among them. What is typed beside it wins.",
    "objective": "next_token, multi_token or roll_out.",
    "data.name": "data=NAME: a named data set; foretell domains lists them.",
    "data.path": "Files of your own: FILE, [FILES], a folder, or a pattern in quotes.",
    "tokenizer.name": "tokenizer=KIND, the domain's default where not given; its own keys are tokenizer.KEY=.",
    "evaluation.samples": "How many samples the domain's evaluation draws, where it draws any.",
    "input.path": "input=STORE: a token store, a Zarr group of your own, or files of raw records; a path or a URL.",
}

GUIDES: dict[str, Guide] = {
    "prepare": Guide(
        (
            ("a FASTA file of your own", "foretell prepare domain=dna data.path=genome.fa store=genome.zarr"),
            (
                "a named data set, with the split of a preset",
                "foretell prepare experiment=music_smoke store=chorales.zarr",
            ),
            (
                "all files of a folder, split by family, bad records counted up to one in ten",
                "foretell prepare domain=proteins data.path='own/*.fa' store=p.zarr split.rule=cluster max_bad=0.1",
            ),
        ),
        (
            "data.name",
            "data.path",
            "tokenizer.name",
            "split.rule",
            "split.seed",
            "max_bad",
            "max_length",
            "tasks",
            "overwrite",
            "experiment",
        ),
        _NOTES,
    ),
    "train": Guide(
        (
            (
                "a first model of a store, in five minutes",
                "foretell train store=genome.zarr run=run training.minutes=5",
            ),
            (
                "a hybrid of attention and Mamba-2, larger, by steps",
                "foretell train store=genome.zarr run=run2 model=hybrid size=s training.steps=5000",
            ),
            ("what that would cost, without doing it", "foretell train store=genome.zarr run=run2 size=m dry_run=true"),
        ),
        (
            "store",
            "run",
            "model",
            "size",
            "training.minutes",
            "training.steps",
            "training.lr",
            "batching.length",
            "batching.batch_size",
            "experiment",
            "init_from",
        ),
        _NOTES,
    ),
    "finetune": Guide(
        (
            ("go on with data of your own", "foretell finetune init_from=run store=own.zarr task=continue run=own_run"),
            (
                "learn a label of the store, by small matrices beside the weights",
                "foretell finetune init_from=run store=known.zarr task=classify label=family adapter=lora run=tuned",
            ),
            (
                "learn answers as tokens of the same model",
                "foretell finetune init_from=run store=asked.zarr task=tokens run=answers",
            ),
        ),
        (
            "store",
            "run",
            "task",
            "label",
            "adapter",
            "rank",
            "scratch",
            "supervised.epochs",
            "training.minutes",
            "training.lr",
        ),
        _NOTES,
    ),
    "evaluate": Guide(
        (
            ("metrics beside baselines, and figures", "foretell evaluate bundle=run store=genome.zarr"),
            (
                "the validation part, fewer samples, elsewhere",
                "foretell evaluate bundle=run store=genome.zarr split=validation evaluation.samples=8 out=validated",
            ),
        ),
        (
            "out",
            "split",
            "evaluation.samples",
            "window.look_back",
            "batch_tokens",
            "experiment",
        ),
        _NOTES,
    ),
    "sample": Guide(
        (
            ("a hundred new records", "foretell sample bundle=run n=100 out=new.fasta"),
            (
                "surer ones, from a given beginning",
                "foretell sample bundle=run n=10 prefix=ATG temperature=0.8 top_p=0.95",
            ),
            (
                "records that are asked for, of a model that was trained on it",
                "foretell sample bundle=run n=20 condition.logp=3.5",
            ),
        ),
        (
            "n",
            "out",
            "temperature",
            "top_p",
            "top_k",
            "prefix",
            "store",
            "max_length",
            "condition",
            "grammar",
        ),
        _NOTES,
    ),
    "predict": Guide(
        (
            (
                "the likelihood of every record of a store",
                "foretell predict bundle=run input=genome.zarr output=scores.zarr",
            ),
            (
                "raw files, with embeddings and a table",
                "foretell predict bundle=run input=reads.fa output=p.zarr what=score,embedding table=p.csv",
            ),
            (
                "by four processes, as a SLURM array would",
                "foretell predict bundle=run input=genome.zarr output=p.zarr launcher=local workers=4",
            ),
        ),
        (
            "input.path",
            "what",
            "table",
            "launcher",
            "workers",
            "pooling",
            "max_bad",
            "exact",
        ),
        _NOTES,
    ),
    "export": Guide(
        (
            ("a folder that transformers loads", "foretell export bundle=run"),
            ("one that mamba-ssm loads", "foretell export bundle=run format=mamba_ssm out=for_mamba"),
        ),
        (
            "out",
            "format",
        ),
    ),
    "report": Guide(
        (
            ("a page of what train, evaluate and sample left", "foretell report run=run"),
            ("with an evaluation from elsewhere", "foretell report run=run evaluation=validated out=page.html"),
        ),
        (
            "out",
            "evaluation",
            "samples",
            "prediction",
        ),
    ),
    "compare": Guide(
        (
            ("a table", "foretell compare run run2"),
            ("a page with curves, what differs, and pictures", "foretell compare run run2 --out compared.html"),
        ),
    ),
    "describe": Guide(
        (
            ("how far a run is", "foretell describe run"),
            (
                "a store for a script, after every file's sha256 was compared",
                "foretell describe genome.zarr --json --verify",
            ),
        ),
    ),
    "domains": Guide(
        (
            ("all of them", "foretell domains"),
            ("two of them, for a script", "foretell domains dna music --json"),
        ),
    ),
    "demo": Guide(
        (
            ("one domain, from data to a page, in some two minutes", "foretell demo domains=dna preset=smoke out=demo"),
            ("the tour of all; the same command goes on where it stopped", "foretell demo out=demo"),
        ),
        (
            "domains",
            "preset",
            "out",
            "train",
            "prepare",
        ),
    ),
    "completion": Guide(
        (
            ("how each shell is set up", "foretell completion"),
            ("bash, in this session", 'eval "$(foretell completion bash)"'),
        ),
    ),
}
