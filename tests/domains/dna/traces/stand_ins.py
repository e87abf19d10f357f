"""An engine that knows the strands, and errs where a test tells it to."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from core.decoding.slots import Sample
from core.engine import Score
from core.sequence import Sequence
from domains.dna.traces.tokenizer import TraceTokenizer

RIGHT, WRONG = 0.9, 0.02


class Oracle:
    """Samples the truth of a cluster by its id; with `errs(cluster)` true, the truth with its first base changed.

    Scores give RIGHT to each base of the truth and WRONG to any other.
    """

    def __init__(self, clusters, errs=lambda cluster: False, context=200):
        self.truths, self.errs, self.context = {c.id: c.truth for c in clusters}, errs, context
        self.tokenizer = TraceTokenizer()
        self.scored = self.sampled = 0

    def policy(self):
        return SimpleNamespace(length=self.context)

    def sample(self, prefixes, *, max_length, temperature, grammar=None):
        assert temperature == 0
        return [self._sample(prefix, max_length) for prefix in prefixes]

    def _sample(self, prefix, max_length):
        self.sampled += 1
        cluster = self.tokenizer.decode(prefix)
        strand = self.truths[cluster.id]
        if self.errs(cluster):
            strand = "ACGT"["CGTA".index(strand[0])] + strand[1:]
        tokens = self.tokenizer.encode(":".join(["|".join(cluster.reads), strand])).arrays["tokens"][:max_length]
        return Sample(Sequence({"tokens": tokens}, prefix.id), 0.0, len(strand) + 1, True, 0.0)

    def score(self, sequences, *, mode):
        assert mode == "records"
        for sequence in sequences:
            self.scored += 1
            cluster = self.tokenizer.decode(sequence)
            n = len(cluster.truth or "")
            nats = np.full(len(sequence) + 1, np.nan, np.float32)
            pairs = zip(cluster.truth or "", self.truths[cluster.id], strict=False)
            nats[len(sequence) - n : len(sequence)] = [-np.log(RIGHT if a == b else WRONG) for a, b in pairs]
            nats[-1] = 0
            yield Score(float(np.nansum(nats)), n + 1, nats, {})
