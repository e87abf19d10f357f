"""`foretell completion SHELL` prints what makes a shell complete verbs, keys and names; with `--line TEXT`, what may
stand at the end of a line that was typed so far, one a line.

Verbs and keys come from the options, presets from configs/, domains, data sets and tokenizers from the registry. For
paths the shell's own completion serves.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from core.errors import ConfigError, ForetellError, nearest
from domains import DOMAINS
from pipelines.plain_help import PlainParser
from pipelines.verbs import VERBS, Verb

SCRIPTS = {
    "bash": """\
_foretell() {
    local typed="${COMP_LINE:0:COMP_POINT}" IFS=$'\\n'
    COMPREPLY=($(foretell completion --line "$typed" 2>/dev/null))
    [[ ${typed##* } == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _foretell foretell
""",
    "zsh": """\
#compdef foretell
_foretell() {
    local -a found
    found=("${(@f)$(foretell completion --line "${LBUFFER}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -S '' -- "${found[@]}"; else _files; fi
}
compdef _foretell foretell
""",
    "fish": """\
complete -c foretell -a '(foretell completion --line (commandline -cp) 2>/dev/null)'
""",
}
HOW = {
    "bash": 'eval "$(foretell completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(foretell completion zsh)"   # in ~/.zshrc, after compinit',
    "fish": "foretell completion fish > ~/.config/fish/completions/foretell.fish",
}
CHOICES = {
    "device": ("auto", "cpu", "cuda", "mps"),
    "kernel": ("auto", "torch", "cpp", "mamba_ssm"),
    "training.schedule": ("wsd", "cosine", "constant"),
    "training.optimizer": ("adamw", "muon"),
    "launcher": ("inprocess", "local", "dask", "slurm"),
}
"""Values of keys that are not found in a folder or a registry."""


def parser() -> ArgumentParser:
    made = PlainParser("completion")
    made.add_argument(
        "shell", nargs="?", help=f"{', '.join(SCRIPTS)}: prints its script; how to set it up where not given"
    )
    made.add_argument("--line", metavar="TEXT", help="what was typed so far: prints what may follow")
    return made


def main(arguments: Sequence[str]) -> int:
    """Raises ConfigError for a shell that has no script here."""
    wanted = parser().parse_args(list(arguments))
    if wanted.line is not None:
        print("\n".join(candidates(wanted.line)))
    elif wanted.shell in SCRIPTS:
        print(SCRIPTS[wanted.shell], end="")
    elif wanted.shell is None:
        print("\n".join(f"{shell:5} {line}" for shell, line in HOW.items()))
    else:
        known = tuple(SCRIPTS)
        raise ConfigError(f"no completion for {wanted.shell}{nearest(wanted.shell, known)}", hint=", ".join(known))
    return 0


def candidates(line: str) -> list[str]:
    """What may stand for the last word of `line`: verbs, `key=`, or `key=value`; none where a path is due."""
    from pipelines.options import leaves

    words = line.split()
    current = "" if not words or line[-1:].isspace() else words[-1]
    before = words[1 : len(words) - bool(current)]
    if not before:
        return [name for name in VERBS if name.startswith(current)]
    verb = VERBS.get(before[0])
    if verb is None:
        return []
    if not verb.composes:
        return _plain(before[0], verb, current)
    key, equals, value = current.partition("=")
    if equals:
        return [f"{key}={v}" for v in _values(key, before) if v.startswith(value)]
    given = {word.partition("=")[0] for word in before}
    found = (*leaves(verb.options()), *_GROUPS, "data.name", *_domain_keys(words[1], before))
    return sorted({f"{k}=" for k in found if k.startswith(current) and k not in given})


def _domain_keys(verb: str, before: Sequence[str]) -> list[str]:
    """Keys below `data`, `tokenizer` and the like of a domain that stands on the line."""
    from pipelines.domain_help import entries_of

    typed = {key: value for key, _, value in (word.partition("=") for word in before)}
    with suppress(ForetellError, ImportError):
        found = entries_of(verb, DOMAINS.get(typed["domain"]), typed.get("tokenizer")) if "domain" in typed else {}
        return [key for entries in found.values() for key in entries]
    return []


def _plain(name: str, verb: Verb, current: str) -> list[str]:
    """Flags of a verb with plain arguments, and names where it takes some."""
    made = verb.parser()
    words = made.flags() if current.startswith("-") and isinstance(made, PlainParser) else []
    words += {"domains": list(DOMAINS.names()), "completion": list(SCRIPTS)}.get(name, [])
    return [word for word in words if word.startswith(current)]


_GROUPS = ("experiment", "domain", "model", "size", "objective")
"""Folders of configs/ that a key chooses from."""


def _values(key: str, before: Sequence[str]) -> list[str]:
    """What a key may be, as far as it is known; `before` are the words in front of it."""
    from pipelines.compose import config_folders

    if key in CHOICES:
        return list(CHOICES[key])
    if key in ("domain", "domains"):
        return list(DOMAINS.names())
    if key in _GROUPS:
        return sorted({file.stem for folder in config_folders() for file in Path(folder, key).glob("*.yaml")})
    if key in ("data", "data.name", "tokenizer", "tokenizer.name"):
        chosen = [word.partition("=")[2] for word in before if word.startswith("domain=")]
        found: list[str] = []
        for name in chosen or DOMAINS.names():
            with suppress(ForetellError, ImportError):
                domain = DOMAINS.get(name)
                found += domain.datasets if key.startswith("data") else domain.tokenizers
        return found
    return []
