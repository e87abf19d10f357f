"""A run as a process of its own: `python -m tests.core.training.run_tiny RUN '{"steps": 9}' [STORE [WORKERS]]`.

Ends with the exit code of the error that ended the run, as the command line does.
"""

import json
import sys
from pathlib import Path

import torch

from core.batching.config import BatchingConfig
from core.datamodule import SequenceDataModule
from core.errors import ForetellError
from core.sequence import Symbols
from core.store import TokenStore
from core.store.writer import TokenStoreWriter
from tests.core.memory_store import LETTERS
from tests.core.training.tiny import make_data, make_model, make_store, train


def write_store(path):
    """The letters of `make_store` as a real store on disk."""
    store = make_store()
    writer = TokenStoreWriter(
        path, Symbols(LETTERS), {"kind": "none"}, domain="none", source={"what": "made by code"}, shard_tokens=512
    )
    with writer:
        for record in store.records:
            writer.append(record)
        spans = [store.spans(split) for split in ("train", "validation")]
        n = len(store.records)
        writer.finish(
            spans=torch.cat([torch.from_numpy(s) for s in spans]).numpy(),
            span_split=torch.tensor([0] * n + [1] * n, dtype=torch.uint8).numpy(),
            counts={"in": n, "ok": n},
            split={"rule": "last"},
        )


def run(folder, changes, store=None, workers=0):
    torch.set_num_threads(1)
    data = make_data(workers=workers)
    if store is not None:
        batching = BatchingConfig(batch_size=4, length=16, buffer_shards=4)
        data = SequenceDataModule(TokenStore.open(store), batching=batching, seed=1, workers=workers)
    model = make_model(dropout=changes.get("dropout", 0.1))
    try:
        train(Path(folder), model, data, **{key: value for key, value in changes.items() if key != "dropout"})
    except ForetellError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    folder, changes, *rest = sys.argv[1:]
    run(folder, json.loads(changes), rest[0] if rest else None, int(rest[1]) if len(rest) > 1 else 0)
