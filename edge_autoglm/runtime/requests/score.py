"""A request for the log-probabilities of given continuations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_autoglm.runtime.decoding.logprobs import log_softmax
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.requests.prompt import restore
from edge_autoglm.runtime.schedule.job import Append, Steps
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.values import Timings, Usage


@dataclass(frozen=True, slots=True)
class Scores:
    """Answer of ``LanguageModel.score``.

    Attributes:
        logprobs: For each label, the natural logarithm of the probability that it follows the prompt: the sum over its
            tokens.
        usage: No new tokens.
        timings: ``ttft`` is the time to the answer.
    """

    logprobs: list[float]
    usage: Usage
    timings: Timings


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores labels behind a prompt.

    The prompt's own logits give the first token of every label. The first label that is longer runs in the same pass,
    behind the prompt, so that one pass is enough if there is no other; each further one takes a pass over its tokens.

    Attributes:
        kv: Where a beginning of the prompt may be held.
        tokens: The prompt.
        labels: Token ids, at least one a label, all within the vocabulary.
    """

    kv: KVStore
    tokens: Sequence[int]
    labels: Sequence[Sequence[int]]
    started: float = field(default_factory=time.perf_counter)

    def steps(self, seat: Seat) -> Steps[Scores]:
        """Run it.

        Raises:
            EngineError: The engine answered with a logit that is no number.
        """
        queue = time.perf_counter() - self.started
        cached = restore(seat, self.kv, self.tokens)
        longer = [label for label in dict.fromkeys(map(tuple, self.labels)) if len(label) > 1]
        given = longer[0][:-1] if longer else ()
        rest = self.tokens[cached:]
        logits = yield Append([*rest, *given], range(len(rest) - 1, len(rest) + len(given)))
        first = log_softmax(logits[:1])[0]
        following = dict.fromkeys(map(tuple, self.labels), 0.0)
        if longer:
            following[longer[0]] = _sum(logits[1:], longer[0][1:])
        for label in longer[1:]:
            # With the prompt's last token again: one token alone would be a decode step, which may round otherwise.
            seat.truncate(len(self.tokens) - 1)
            rows = yield Append([self.tokens[-1], *label[:-1]], range(1, len(label)))
            following[label] = _sum(rows, label[1:])
        logprobs = [float(first[label[0]]) + following[tuple(label)] for label in self.labels]
        total = time.perf_counter() - self.started
        usage = Usage(prompt_tokens=len(self.tokens), num_cached_tokens=cached, new_tokens=0)
        return Scores(logprobs, usage, Timings(queue=queue, ttft=total, total=total))


def _sum(logits: Logits, tokens: Sequence[int]) -> float:
    """Log-probability of tokens, each behind its row of logits ``[len(tokens), vocab_size]``."""
    return float(log_softmax(logits)[np.arange(len(tokens)), list(tokens)].sum())
