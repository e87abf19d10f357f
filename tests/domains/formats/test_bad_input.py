"""One row for every kind of bad input: what is raised or rejected, in which words, and which good records survive."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import InputError, RecordError
from core.rejects import Reject
from domains.dna.source import open_source
from domains.dna.tokenizer import NucleotideTokenizer

GOOD = b">good1\nACGT\n"
AFTER = b">good2\nGGTT\n"
GENBANK = b"LOCUS       G    4 bp    DNA     linear   UNK 01-JAN-1980\nORIGIN\n        1 acgt\n//\n"


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it."""

    name: str
    data: bytes
    kept: tuple[str, ...] = ()
    """Ids that are encoded."""
    rejected: tuple[str, ...] = ()
    """Reason codes of the rejects, from the reader or the tokenizer."""
    error: str = ""
    """A pattern in the message where the whole file is refused."""
    says: str = ""
    """A part of the first reject's message."""


BOTH = ("good1", "good2")
CASES = {
    "empty file": Case("x.fa", b"", error=r"x\.fa: the file is empty, expected FASTA \(0 records"),
    "only white space": Case("x.fa", b"\n \n\n", error="holds only white space"),
    "no header": Case("x.fa", b"ACGT\nACGT\n", error=r"expected a FASTA header .* first line, found 'ACGT'"),
    "header without sequence": Case("x.fa", GOOD + b">h\n" + AFTER, BOTH, ("empty_sequence",), says="'h' is"),
    "duplicate ids": Case("x.fa", GOOD + GOOD + AFTER, ("good1", "good1", "good2")),
    "protein": Case("x.fa", GOOD + b">p\nMKVLEFQPIL\n" + AFTER, BOTH, ("looks_like_protein",), says="looks like"),
    "digits": Case("x.fa", GOOD + b">d\n1 ACGT 61\n" + AFTER, BOTH, ("digit",), says="the digit '1'"),
    "gaps": Case("x.fa", GOOD + b">g\nAC--GT\n" + AFTER, BOTH, ("gap",), says="'g', base 3: '-' is a gap"),
    "dots": Case("x.fa", GOOD + b">g\nAC.GT\n" + AFTER, BOTH, ("gap",)),
    "stop symbol": Case("x.fa", GOOD + b">s\nACG*\n" + AFTER, BOTH, ("bad_letter",), says="'*' is no letter"),
    "NUL": Case("x.fa", GOOD * 20 + b">n\nAC\0GT\n" + AFTER, ("good1",) * 20 + ("good2",), ("nul",), says="base 3"),
    "BOM": Case("x.fa", b"\xef\xbb\xbf" + GOOD + AFTER, BOTH),
    "CRLF": Case("x.fa", (GOOD + AFTER).replace(b"\n", b"\r\n"), BOTH),
    "CR": Case("x.fa", (GOOD + AFTER).replace(b"\n", b"\r"), BOTH),
    "Latin-1 header": Case("x.fa", GOOD + b">caf\xe9\nACGT\n" + AFTER, ("good1", "café", "good2")),
    "Latin-1 letters": Case("x.fa", GOOD + b">l\nAC\xe9GT\n" + AFTER, BOTH, ("bad_letter",)),
    "UTF-16": Case("x.fa", ">a\nACGT\n".encode("utf-16"), error=r"UTF-16.*\n  Save it as UTF-8"),
    "truncated gzip": Case("x.fa.gz", gzip.compress(GOOD * 50)[:-9], error=r"gzip stream ends early \(\d+"),
    "gzip with a wrong checksum": Case("x.fa.gz", gzip.compress(GOOD)[:-8] + bytes(8), error="gzip stream is damaged"),
    "binary": Case("x.fa", b">" + bytes(range(256)) * 4, error="binary file"),
    "zip": Case("x.fa", b"PK\x03\x04" + bytes(50), error="a zip archive"),
    "BAM": Case("x.fa.gz", gzip.compress(b"BAM\x01" + bytes(50)), error="a BAM file"),
    "FASTQ called FASTA": Case("x.fa", b"@r\nACGT\n+\nIIII\n", error="looks like FASTQ"),
    "unknown content": Case("x.dat", b"hello\n", error=r"cannot tell its format.*\n.*data\.format="),
    "FASTQ of unequal lengths": Case(
        "x.fq",
        b"@good1\nAC\n+\nII\n@u\nACG\n+\nII\n@good2\nGT\n+\nII\n",
        BOTH,
        ("unequal_lengths",),
        says="3 letters but 2",
    ),
    "FASTQ cut short": Case("x.fq", b"@good1\nAC\n+\nII\n@c\nACG\n", ("good1",), ("cut_short",), says="ends after 2"),
    "GenBank cut short": Case(
        "x.gb", GENBANK + GENBANK[:-4], ("G",), ("cut_short",), says="'G' (line 5): the record is cut short: no '//'"
    ),
    "GenBank with letters missing": Case(
        "x.gb", GENBANK + GENBANK.replace(b"acgt", b"acg"), ("G",), ("cut_short",), says="says 4 letters, it has 3"
    ),
    "table with an open quote": Case(
        "x.csv", b'id,sequence\ngood1,ACGT\nb,"AC\ngood2,GGTT\n', BOTH, ("open_quote",), says="line 3: a quote"
    ),
    "table without the column": Case(
        "x.csv", b"id,letterz\na,ACGT\n", error=r"none of its columns.*\n.*data\.column=NAME"
    ),
}


def read(path: Path) -> tuple[list[str], list[tuple[str, str]], int]:
    """What counted ingestion does: ids kept, (reason, message) rejected, records that the splitter counted."""
    source = open_source(path=path)
    tokenizer = NucleotideTokenizer()
    kept, rejected = [], []
    for item in source:
        if isinstance(item, Reject):
            rejected.append((item.reason, item.message))
            assert item.file == str(path)
            assert item.line is not None
            continue
        try:
            kept.append(tokenizer.encode(item).id)
        except RecordError as error:
            rejected.append((error.reason, error.message))
            assert source.place(item)[:1] == (str(path),)
            assert source.place(item)[1] is not None
    return kept, rejected, source.records_in


@pytest.mark.parametrize("what", CASES)
def test_bad_input(tmp_path: Path, what: str) -> None:
    case = CASES[what]
    path = tmp_path / case.name
    path.write_bytes(case.data)
    if case.error:
        with pytest.raises(Exception, match=case.error) as caught:
            read(path)
        assert caught.value.exit_code == (2 if "column" in what else InputError.exit_code)
        assert str(path) in str(caught.value)
        return
    kept, rejected, counted = read(path)
    assert tuple(kept) == case.kept
    assert tuple(reason for reason, _ in rejected) == case.rejected
    assert counted == len(kept) + len(rejected)
    if case.says:
        assert case.says in rejected[0][1]
