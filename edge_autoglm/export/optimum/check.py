"""Compares a rewritten graph with the model that it came from, on a few tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edge_autoglm.export.optimum.mismatch import NoMatch
from edge_autoglm.export.optimum.sessions import open_session

TOLERANCE = 1e-3
"""Of the largest logit: the exporter's own accuracy target in float32."""
_ROWS, _TOKENS, _PROMPT = 2, 13, 9
"""Two rows, so that mixed-up axes show; a prompt and single tokens behind it, so that the cache is used."""
_SPARE = 6

Feeds = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the model answers.

    Attributes:
        tokens: int64 ``[rows, tokens]``.
        logits: float32 ``[rows, tokens, vocab]``, each position seeing itself and what is before it.
    """

    tokens: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]


def sample_tokens(vocab_size: int) -> npt.NDArray[np.int64]:
    """Tokens to compare on; always the same."""
    return np.random.default_rng(0).integers(0, vocab_size, size=(_ROWS, _TOKENS), dtype=np.int64)


def check_equal(graph: Path, reference: Reference) -> float:
    """Run prompt and decode steps through the rewritten graph.

    Returns:
        Largest difference, as a part of the largest logit.

    Raises:
        NoMatch: It is above the tolerance, or ONNX Runtime refuses the graph.
    """
    try:
        difference = _difference(graph, reference)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
        raise NoMatch(f"ONNX Runtime does not run it: {str(error).splitlines()[0]}") from error
    if not difference <= TOLERANCE:
        raise NoMatch(f"its logits differ by {difference:.1e} of the largest one")
    return difference


def _difference(graph: Path, reference: Reference) -> float:
    session = open_session(graph)
    rows, count, vocab = reference.logits.shape
    cache = {
        value.name: np.zeros((rows, value.shape[1], 0, value.shape[3]), dtype=np.float32)
        for value in session.get_inputs()
        if value.name.startswith("past_")
    }
    in_place = any(value.name == "seqlens_k" for value in session.get_inputs())
    if in_place:
        spare = ((0, 0), (0, 0), (0, count + _SPARE), (0, 0))
        cache = {name: np.pad(array, spare) for name, array in cache.items()}
    answers = []
    for begin, end in ((0, _PROMPT), *((token, token + 1) for token in range(_PROMPT, count))):
        logits, cache = _step(session, reference.tokens[:, begin:end], begin, cache, in_place)
        answers.append(logits.reshape(rows, end - begin, vocab))
    difference = np.abs(np.concatenate(answers, axis=1) - reference.logits).max()
    return float(difference / np.abs(reference.logits).max())


def _step(
    session: ort.InferenceSession, tokens: npt.NDArray[np.int64], past: int, cache: Feeds, in_place: bool
) -> tuple[npt.NDArray[np.float32], Feeds]:
    rows, count = tokens.shape
    feeds: Feeds = {
        "input_ids": tokens,
        "logits_at": np.arange(rows * count, dtype=np.int64),
        "seqlens_k": np.full(rows, past + count - 1, dtype=np.int32),
        "total_sequence_length": np.array(past + count, dtype=np.int32),
        "attention_mask": np.ones((rows, past + count), dtype=np.int64),
        "position_ids": np.tile(np.arange(past, past + count, dtype=np.int64), (rows, 1)),
        **cache,
    }
    wanted = {value.name for value in session.get_inputs()}
    outputs = [value.name for value in session.get_outputs()]
    results = session.run(outputs, {name: array for name, array in feeds.items() if name in wanted})
    answers = dict(zip(outputs, results, strict=True))
    logits = answers.pop("logits")
    grown = {name.replace("present", "past"): array for name, array in answers.items()}
    if not in_place:
        grown = {name: np.concatenate([cache[name], array], axis=2) for name, array in grown.items()}
    return logits, grown
