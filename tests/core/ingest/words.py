"""Records of letters in memory or in files, and a tokenizer that may learn. A module of its own, as jobs name it."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np

from core.errors import RecordError
from core.ingest import Reject
from core.sequence import Sequence, Symbols
from core.vocabulary import SPECIALS, Vocabulary


class Lines:
    """Records are (name, text) pairs; a text that starts with # is refused by the reader."""

    provenance = {"what": "lines", "where": "a test", "licence": "CC0"}
    canonical_letters = "ABCD"
    total_bytes = None
    bytes_read = 0

    def __init__(self, *records, groups=None):
        self.records, self.groups = records, groups

    def __iter__(self):
        for index, (name, text) in enumerate(self.records):
            if text.startswith("#"):
                yield Reject("lines.txt", index, name, index + 1, None, "comment", f"'{name}' is a comment")
            else:
                yield name, text

    def name(self, record):
        return record[0]

    def letters(self, record):
        return np.frombuffer(record[1].encode(), np.uint8)

    def piece(self, record, start, stop):
        return record[0], record[1][start:stop]

    def group(self, record):
        return self.groups[record[0]] if self.groups else None

    def stamp(self, record):
        return None

    def labels(self, record):
        return {"length": len(record[1])}


class Words:
    """A token a letter, or a pair of letters that `fit` saw more than once; "!" is refused."""

    kind, version, natural_unit = "words", 1, "letter"

    def __init__(self, pairs=None):
        self.pairs = pairs
        self.seen = []

    @property
    def spec(self):
        return Symbols(Vocabulary((*"ABCD", *(self.pairs or ()))))

    @property
    def needs_fit(self):
        return self.pairs is None

    def fit(self, train_records):
        self.seen = list(train_records)
        counts = Counter(text[i : i + 2] for _, text in self.seen for i in range(0, len(text) - 1, 2))
        return Words(tuple(sorted(pair for pair, n in counts.items() if n > 1)))

    def canonical(self, record):
        if "!" in record[1]:
            raise RecordError("bad_letter", f"'{record[0]}' holds a '!'", record=record[0])
        return record

    def encode(self, record):
        text, tokens, at = self.canonical(record)[1], [], 0
        while at < len(text):
            token = text[at : at + 2] if text[at : at + 2] in (self.pairs or ()) else text[at]
            tokens.append(token)
            at += len(token)
        vocabulary = self.spec["tokens"].vocabulary
        return Sequence({"tokens": vocabulary.encode(tokens).astype(vocabulary.dtype)})

    def decode(self, sequence):
        return sequence.id, "".join(self.spec["tokens"].vocabulary.decode(sequence.arrays["tokens"]))

    def units(self, arrays):
        sizes = np.array([0.0] * len(SPECIALS) + [len(s) for s in self.spec["tokens"].vocabulary.symbols])
        return sizes[arrays["tokens"]]

    def to_config(self):
        return {"pairs": list(self.pairs)}


class LineFiles(Lines):
    """The records of files, a line each: `name letters`, or `name letters group`; "-" stands for no name."""

    def __init__(self, folder):
        self.paths = self.all_paths = sorted(Path(folder).glob("*.txt"))
        self.records_in, self.groups, self.notes = 0, {}, {}

    def __iter__(self):
        self.records_in, self.notes = 0, {"lines": 0}
        for path in self.paths:
            for index, line in enumerate(path.read_text().splitlines()):
                name, text, *group = line.split()
                name = "" if name == "-" else name
                self.records_in += 1
                self.notes["lines"] += 1
                self.groups[name] = group[0] if group else None
                if text.startswith("#"):
                    yield Reject(path.name, index, name, index + 1, None, "comment", f"'{name}' is a comment")
                else:
                    yield name, text

    def labels(self, record):
        """Whole numbers, numbers and texts, some of them missing."""
        text = record[1]
        share = text.count("A") / len(text) if len(text) % 3 else float("nan")
        return {**super().labels(record), "share": share, "first": text[0].replace("D", ""), "letters": text}

    def files_apart(self):
        return self.all_paths

    def restrict(self, start, stop):
        self.paths = self.all_paths[start:stop]


class DeadlyFiles(LineFiles):
    """The first worker that comes to ABBA makes the file `died`, and dies."""

    def __init__(self, folder, died):
        super().__init__(folder)
        self.died = Path(died)

    def __iter__(self):
        for item in super().__iter__():
            if item == ("same", "ABBA") and multiprocessing.parent_process() is not None:
                try:
                    self.died.touch(exist_ok=False)
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            yield item


class SlowFiles(LineFiles):
    """A record takes two milliseconds, so that there is time to be killed."""

    def __iter__(self):
        for item in super().__iter__():
            time.sleep(0.002)
            yield item


def open_words(recipe, described):
    kinds = {"plain": LineFiles, "slow": SlowFiles}
    source = (
        DeadlyFiles(recipe["folder"], recipe["died"]) if "died" in recipe
        else kinds[recipe.get("kind", "plain")](recipe["folder"])
    )  # fmt: skip
    return source, Words(recipe["pairs"] if described is None else tuple(described["config"]["pairs"]))
