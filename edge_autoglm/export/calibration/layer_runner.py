"""Runs a decoder over calibration text one layer at a time, so that a single layer's weights are in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.decoder import DecoderGraph
from edge_autoglm.export.graph.weight_file import InlineWeights
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Array, LayerWeights, Matrix
from edge_autoglm.runtime.engines.ort_model import session_options

INPUTS = {"qkv": "attention_norm", "output": "attended", "gate_up": "mlp_norm", "down": "gated"}
"""Field of `LayerWeights` -> the node of its layer that it multiplies."""

_ROWS = 4
"""Windows run at a time."""


def open_session(graph: bytes, threads: int, spin: bool = False) -> ort.InferenceSession:
    """A session over a graph in memory, with the arithmetic of the engine's.

    Args:
        graph: A serialised ONNX model.
        threads: Of the operator pool.
        spin: Whether idle threads wait actively, as the engine's do. Between the steps of a calibration they would take
            the cores from NumPy.
    """
    options = session_options(threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class LayerRunner:
    """One layer over the residual stream of all windows.

    Args:
        spec: Of the model.
        index: Of the layer.
        weights: Of the layer, in whatever form: quantised ones run as they will in the engine.
        threads: Of the operator pool.
    """

    def __init__(self, spec: DecoderSpec, index: int, weights: LayerWeights[Matrix], threads: int) -> None:
        self._spec = spec
        self._index = index
        graph = GraphBuilder(InlineWeights())
        decoder = DecoderGraph(graph, spec)
        decoder.start_at("residual")
        decoder.layer(index, weights)
        decoder.finish_at("result")
        for name in INPUTS.values():
            graph.output_of(f"layer.{index}.{name}")
        self._session = open_session(graph.serialize("layer"), threads)

    def advance(self, hidden: Array) -> Array:
        """The residual stream ``[windows, tokens, hidden]`` behind the layer."""
        parts = [self._session.run(["result"], self._feed(rows))[0] for rows in _batches(hidden)]
        return np.concatenate(parts)

    def inputs(self, hidden: Array) -> Iterator[dict[str, Array]]:
        """What the matrices of the layer multiply, some windows at a time.

        Args:
            hidden: The residual stream before the layer, ``[windows, tokens, hidden]``.

        Returns:
            Field of `LayerWeights` -> ``[tokens, in]``.
        """
        names = [f"layer.{self._index}.{node}" for node in INPUTS.values()]
        for rows in _batches(hidden):
            tapped = self._session.run(names, self._feed(rows))
            yield {name: array.reshape(-1, array.shape[-1]) for name, array in zip(INPUTS, tapped, strict=True)}

    def cached(self, hidden: Array) -> Iterator[tuple[Array, Array]]:
        """Keys and values that the layer caches, ``[windows, kv_heads, tokens, head_dim]``, some windows at a time."""
        names = [f"present_{kind}.{self._index}" for kind in ("key", "value")]
        for rows in _batches(hidden):
            keys, values = self._session.run(names, self._feed(rows))
            yield keys, values

    def _feed(self, residual: Array) -> dict[str, npt.NDArray[np.generic]]:
        rows, tokens, _ = residual.shape
        empty = np.zeros((rows, self._spec.kv_heads, tokens, self._spec.head_dim), dtype=np.float32)
        return {
            "residual": residual,
            "seqlens_k": np.full(rows, tokens - 1, dtype=np.int32),
            "total_sequence_length": np.array(tokens, dtype=np.int32),
            f"past_key.{self._index}": empty,
            f"past_value.{self._index}": empty,
        }


def _batches(hidden: Array) -> Iterator[Array]:
    for start in range(0, len(hidden), _ROWS):
        yield hidden[start : start + _ROWS]
