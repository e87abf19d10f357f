"""SDF: mol blocks and their data fields, cut at `$$$$` by our own splitter. Nothing is parsed here.

RDKit's own reader goes on behind a block that was cut short until the next `$$$$` and so swallows the good molecule
after it. Here a new header, counts line and all, begins a new record: a block without its end, even one that was cut
inside its own header, costs itself only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from core.rejects import Reject
from domains.formats.label_columns import LOOKED_AT, LabelColumns
from domains.formats.smiles_table import MoleculeText, stem_of
from domains.formats.text import InputFile

_COUNTS = re.compile(r"^[ \d]{6}.*V[23]000\s*$")
_FIELD = re.compile(r"^>.*<([^>]*)>")
_HEADER_LINES = 3
"""Name, program, comment: they stand before the counts line."""
_END, _MOL_END = "$$$$", "M  END"


def read_sdf(file: InputFile, labels: Sequence[str] = ()) -> Iterator[MoleculeText | Reject]:
    """Every block of the file: its mol block as text, its first line as the name, fields called `labels` as labels.

    A block without `M  END` is a Reject ("cut_short"), so is a label that is no number where the first ones are
    ("bad_label").
    Raises InputError for damage to the container.
    """
    index = 0
    blocks = _blocks(file)
    ahead = list(islice(blocks, LOOKED_AT))
    kinds = LabelColumns(labels, [_fields(block) for _, block in ahead])
    for line, block in chain(ahead, blocks):
        yield _molecule(file, block, index, line, kinds)
        index += 1
        file.records = index
    if index == 0:
        raise file.damaged("it holds no molecule")


def _blocks(file: InputFile) -> Iterator[tuple[int, list[str]]]:
    """(line from 1, lines) of each record."""
    block: list[str] = []
    began = 1
    for number, raw in enumerate(file.lines(), 1):
        text = file.text(raw)
        if text.startswith(_END):
            yield began, block
            block, began = [], number + 1
            continue
        block.append(text)
        if not _COUNTS.match(text):
            continue
        # Of a block that was cut inside its header nothing tells but that the counts line is not the fourth.
        kept = len(block) - 1 - _HEADER_LINES
        if kept >= (_HEADER_LINES if any(_COUNTS.match(t) for t in block[:-1]) else 1):
            if any(t.strip() for t in block[:kept]):
                yield began, block[:kept]
            block, began = block[kept:], number - _HEADER_LINES
    if any(text.strip() for text in block):
        yield began, block


def _molecule(file: InputFile, block: list[str], index: int, line: int, kinds: LabelColumns) -> MoleculeText | Reject:
    name = (block[0].strip() if block else "") or f"{stem_of(file.path)}_{index + 1}"

    def refuse(reason: str, what: str) -> Reject:
        return Reject(str(file.path), index, name, line, None, reason, f"'{name}' (line {line:,}): {what}")

    end = _end(block)
    if end is None:
        return refuse("cut_short", f"its mol block has no '{_MOL_END}'")
    found, wrong = kinds.values(_fields(block))
    if wrong:
        return refuse("bad_label", wrong)
    text = "\n".join(block[: end + 1]) + "\n"
    return MoleculeText(text, name, "sdf", dict(found), place=(str(file.path), line, None), index=index)


def _end(block: list[str]) -> int | None:
    """The last line of the mol block among a record's."""
    return next((i for i, text in enumerate(block) if text.startswith(_MOL_END)), None)


def _fields(block: list[str]) -> dict[str, str]:
    """Data fields of a record by name; a value of several lines keeps its line ends."""
    fields: dict[str, str] = {}
    name, end = "", _end(block)
    for text in block[end + 1 :] if end is not None else ():
        found = _FIELD.match(text)
        if found:
            name = found[1]
            fields[name] = ""
        elif name and text.strip():
            fields[name] = f"{fields[name]}\n{text.strip()}".strip()
    return fields
