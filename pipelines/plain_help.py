"""The parser of verbs with plain arguments: its help shows examples, its errors are ours."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from core.errors import ConfigError, nearest
from pipelines.examples import GUIDES
from pipelines.verbs import VERBS


class PlainParser(argparse.ArgumentParser):
    """Of the verb's name; description and examples are those of its guide."""

    def __init__(self, verb: str) -> None:
        examples = "\n".join(f"  # {what}\n  {line}" for what, line in GUIDES[verb].examples)
        summary = VERBS[verb].summary
        super().__init__(
            f"foretell {verb}",
            description=f"{summary[:1].upper()}{summary[1:]}.",
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.verb = verb

    def flags(self) -> list[str]:
        """`--json`, `--out` ..., as help shows them."""
        return sorted({word for action in self._actions for word in action.option_strings if word.startswith("--")})

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError, where argparse would print and leave."""
        wrong = re.search(r"unrecognized arguments: (\S+)", message)
        guess = nearest(wrong[1], self.flags()) if wrong else ""
        raise ConfigError(f"{self.verb}: {message}{guess}", hint=f"What it takes: foretell {self.verb} --help")
