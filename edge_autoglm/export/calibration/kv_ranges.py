"""Scales of an int8 KV cache: the range of every cached channel on a calibration text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.calibration.layer_runner import LayerRunner
from edge_autoglm.export.graph.attention import KVScales
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Array, LayerWeights, Matrix

_MAX_LEVEL = 127


class KVRanges:
    """Follows a text through the layers as they are stored.

    Args:
        spec: Of the model.
        table: The embedding ``[vocab, hidden]``.
        windows: Token ids of the text, ``[windows, tokens]``.
        threads: Of the runs.
    """

    def __init__(self, spec: DecoderSpec, table: Array, windows: npt.NDArray[np.int64], threads: int) -> None:
        self._spec = spec
        self._threads = threads
        self._hidden: Array = table[windows] * np.float32(spec.embedding_scale)

    def layer(self, index: int, weights: LayerWeights[Matrix]) -> KVScales:
        """The scales of the next layer."""
        runner = LayerRunner(self._spec, index, weights, self._threads)
        key, value = np.zeros((2, self._spec.kv_heads, self._spec.head_dim), dtype=np.float32)
        for keys, values in runner.cached(self._hidden):
            np.maximum(key, np.abs(keys).max(axis=(0, 2)), out=key)
            np.maximum(value, np.abs(values).max(axis=(0, 2)), out=value)
        self._hidden = runner.advance(self._hidden)
        return KVScales(_scale(key), _scale(value))


def _scale(largest: Array) -> Array:
    """A channel that was never used gets the scale of one that was: whatever reaches it later is not lost."""
    flat = largest.reshape(-1)
    used = np.where(flat > 0, flat, flat.max() or np.float32(1))
    scales: Array = (used / np.float32(_MAX_LEVEL)).astype(np.float32)
    return scales
