"""Readers of tiny records: a text of A, C, G, T, and series of two channels. A module of its own, as jobs name them."""

from pathlib import Path

import numpy as np

from core.errors import RecordError
from core.prediction.input import Reader
from core.rejects import Reject
from core.sequence import Sequence, Vectors
from core.vocabulary import SPECIALS
from tests.core.tiny import DNA

PAIRS_OF_VALUES = Vectors(2)


class Letters:
    kind, version, natural_unit, spec = "letters", 1, "base", DNA
    needs_fit = False

    def encode(self, record):
        name, text = record
        bad = [i for i, letter in enumerate(text) if letter not in "ACGT"]
        if bad:
            raise RecordError("bad_letter", f"'{name}': {text[bad[0]]!r} is no letter", record=name, position=bad[0])
        return Sequence({"tokens": np.array([len(SPECIALS) + "ACGT".index(x) for x in text], np.uint8)}, id=name)

    def units(self, arrays):
        return np.ones(len(arrays["tokens"]))

    def to_config(self):
        return {"alphabet": "ACGT"}


class Values:
    kind, version, natural_unit, spec = "values", 1, "step", PAIRS_OF_VALUES
    needs_fit = False

    def encode(self, record):
        name, values = record
        seen = ~np.isnan(values)
        if not seen.any():
            raise RecordError("all_missing", f"'{name}' has no value", record=name)
        return Sequence({"values": np.where(seen, values, 0).astype(np.float32)}, name, {"values": seen})

    def units(self, arrays):
        return np.ones(len(arrays["values"]))

    def to_config(self):
        return {"width": 2}


class Lines:
    """A record a line of text files, `name letters`; a line of one word is a reject."""

    def __init__(self, path):
        self.paths, self.records_in, self.bytes_read = list(path), 0, 0
        self.provenance, self.total_bytes = {"what": "lines"}, None

    def __iter__(self):
        self.records_in = 0
        for path in self.paths:
            for i, line in enumerate(Path(path).read_text().splitlines()):
                self.records_in += 1
                words = line.split()
                if len(words) == 2:
                    yield tuple(words)
                else:
                    yield Reject(str(path), i, words[0], i + 1, None, "no_letters", f"line {i + 1} has no letters")

    def name(self, record):
        return record[0]


def text_record(row, tokenizer):
    return row.id, row.value


def values_record(row, tokenizer, shift=0.0):
    return row.id, row.value + shift


def lines(path, **options):
    return Lines(path, **options)


def letters(bundle):
    return Reader(Letters(), text=text_record, source=lines)


def values(bundle):
    return Reader(Values(), values=values_record)
