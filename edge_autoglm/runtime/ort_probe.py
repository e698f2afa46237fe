"""What a graph's kernels do on this CPU, found out by running them."""

from __future__ import annotations

import numpy as np

from edge_autoglm.runtime.ort_model import OrtModel
from edge_autoglm.runtime.ort_step import DecodeStep

_LENGTH = 8
"""Of the scratch rows."""


def rows_agree(model: OrtModel) -> bool:
    """Whether a decode step gives a row the same bits alone and beside another row.

    It does not where a kernel takes another path for a single row: MatMulNBits does, at 4 bits, on CPUs with AVX2 and
    no VNNI.
    """
    shape = (2 * model.layers, 2, model.kv_heads, _LENGTH, model.head_dim)
    together, alone = (np.zeros(shape, dtype=model.kv_dtype) for _ in range(2))
    tokens = [1 % model.vocab_size, model.vocab_size - 1]
    with model.lock:
        first, second = DecodeStep(model, together).run(tokens, [0, 0])
        single = [DecodeStep(model, alone[:, row : row + 1]).run([tokens[row]], [0])[0] for row in range(2)]
    return np.array_equal(first, single[0]) and np.array_equal(second, single[1])
