"""What a graph's kernels do on this CPU, found out by running them."""

from __future__ import annotations

import numpy as np

from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.ort_step import DecodeStep

_STEPS = 4
"""The first token of a row attends to itself alone, whatever its query and key: more are needed to see those."""


def rows_agree(model: OrtModel) -> bool:
    """Whether a decode step surely gives a row the same bits alone and beside another row.

    It does not where a kernel takes another path for a single row: MatMulNBits does, at 4 bits, on CPUs with AVX2 and
    no VNNI. Where 8-bit activations follow, their rounding hides such a difference nearly always, and not always: a
    mixture of the two is not tried.
    """
    if {"int4", "w8a8"} <= model.forms:
        return False
    shape = (2 * model.layers, 2, model.kv_heads, _STEPS, model.head_dim)
    together, alone = (np.zeros(shape, dtype=model.kv_dtype) for _ in range(2))
    tokens = np.random.default_rng(0).integers(0, model.vocab_size, (_STEPS, 2)).tolist()
    with model.lock:
        pair = DecodeStep(model, together)
        single = [DecodeStep(model, alone[:, row : row + 1]) for row in range(2)]
        for length, step in enumerate(tokens):
            expected = [single[row].run([token], [length])[0] for row, token in enumerate(step)]
            if not all(map(np.array_equal, pair.run(step, [length, length]), expected)):
                return False
    return True
