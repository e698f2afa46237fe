"""What a graph's kernels do on this CPU, found out by running them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.ort_step import DecodeStep, PrefillStep, empty_logits

KV = npt.NDArray[np.generic]

_STEPS = 4
"""The first token of a row attends to itself alone, whatever its query and key: more are needed to see those."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Which ways of running the graph give the same bits.

    Attributes:
        rows_agree: A decode step gives a row the same bits alone and beside another row.
        exact_decode: A decode step gives a token the same bits as a longer chunk.
    """

    rows_agree: bool
    exact_decode: bool


def probe(model: OrtModel) -> Probed:
    """Try both.

    Rows do not agree where a kernel takes another path for a single row: MatMulNBits does, at 4 bits, on CPUs with AVX2
    and no VNNI. Decode steps do not agree with chunks where GroupQueryAttention takes another one for a single token:
    over a float cache it multiplies probabilities and values in another order then, over an int8 cache it does not.
    Where 8-bit activations follow, their rounding hides such a difference nearly always, and not always: a mixture of
    4-bit matrices with 8-bit rows, and a float cache, are not tried.
    """
    if {"int4", "w8a8"} <= model.forms:
        return Probed(rows_agree=False, exact_decode=False)
    tokens = np.random.default_rng(0).integers(0, model.vocab_size, (2, _STEPS)).tolist()
    with model.lock:
        alone = [_decoded(model, row) for row in tokens]
        together = _pair_agrees(model, tokens, alone)
        chunk = model.kv_dtype == np.int8 and together and _chunk_agrees(model, tokens[0], alone[0])
    return Probed(rows_agree=together, exact_decode=chunk)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A row that ran token by token: logits ``[_STEPS, vocab]``, and its KV."""

    logits: Logits
    kv: KV


def _kv(model: OrtModel, rows: int) -> KV:
    return np.zeros((2 * model.layers, rows, model.kv_heads, _STEPS, model.head_dim), dtype=model.kv_dtype)


def _decoded(model: OrtModel, tokens: Sequence[int]) -> _Decoded:
    kv = _kv(model, 1)
    step = DecodeStep(model, kv, empty_logits(model, 1))
    return _Decoded(np.concatenate([step.run([token], [length])[0] for length, token in enumerate(tokens)]), kv)


def _pair_agrees(model: OrtModel, tokens: Sequence[Sequence[int]], alone: Sequence[_Decoded]) -> bool:
    step = DecodeStep(model, _kv(model, 2), empty_logits(model, 2))
    return all(
        np.array_equal(np.concatenate(step.run(pair, [length, length])), [row.logits[length] for row in alone])
        for length, pair in enumerate(zip(*tokens, strict=True))
    )


def _chunk_agrees(model: OrtModel, tokens: Sequence[int], alone: _Decoded) -> bool:
    kv = _kv(model, 1)
    logits = PrefillStep(model, kv).run(Chunk(0, tokens, range(_STEPS)), 0)
    return np.array_equal(logits, alone.logits) and np.array_equal(kv, alone.kv)
