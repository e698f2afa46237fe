"""Log-probabilities of given continuations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
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


def score_labels(
    engine: Engine, slot: int, prompt_logits: Logits, prompt_length: int, labels: Sequence[Sequence[int]]
) -> list[float]:
    """Score labels behind the prompt that the slot holds.

    The first token of every label is read from the prompt's own logits. A longer label takes one more ``forward`` call
    over all but its last token; afterwards the slot is truncated back to the prompt.

    Args:
        engine: Owner of the slot.
        slot: Holds the prompt.
        prompt_logits: ``[vocab_size]``, behind the prompt's last token.
        prompt_length: Tokens of the prompt.
        labels: Token ids, at least one a label.

    Raises:
        EngineError: The engine answered with a logit that is no number, or a label holds an id outside the vocabulary.
    """
    for label in labels:
        outside = next((token for token in label if not 0 <= token < engine.facts.vocab_size), None)
        if outside is not None:
            raise EngineError(
                f"a label has token id {outside}, outside the vocabulary of {engine.facts.vocab_size}",
                "Use the tokenizer that belongs to the model.",
            )
    first = log_softmax(prompt_logits[None])[0]
    return [
        float(first[label[0]]) + (_score_rest(engine, slot, prompt_length, label) if len(label) > 1 else 0.0)
        for label in labels
    ]


def _score_rest(engine: Engine, slot: int, prompt_length: int, label: Sequence[int]) -> float:
    """Log-probability of all tokens of a label but the first."""
    given = label[:-1]
    try:
        [logits] = engine.forward([Chunk(slot, given, range(len(given)))])
    finally:
        engine.truncate(slot, prompt_length)
    return float(log_softmax(logits)[np.arange(len(given)), list(label[1:])].sum())


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Logarithm of the softmax over the last axis, in float64.

    Raises:
        EngineError: A row has NaN or infinity as its highest logit.
    """
    highest = logits.max(axis=-1, keepdims=True)
    if not np.isfinite(highest).all():
        raise EngineError(
            f"the engine answered with a logit of {highest.max()}",
            "Verify the bundle, or export it at a higher precision.",
        )
    shifted = logits.astype(np.float64) - highest
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
