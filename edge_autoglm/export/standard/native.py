"""The lowering to the operators of opset 24 that TensorRT from 10.15 on has layers for.

TensorRT's parser has traps here. Of Attention it drops ``nonpad_kv_seqlen``, turns ``is_causal`` into a mask that
starts at the upper left corner, and rejects ``past_key``, ``softcap`` and ``softmax_precision``. So the mask is
explicit, and the cache is a TensorScatter of its own, which becomes a KVCacheUpdate layer: its output lives at its
input's address. Attention is fused for float16 only; its softmax is float32 inside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from edge_autoglm.export.spec import Rope
from edge_autoglm.export.standard.lowering import Cache
from edge_autoglm.export.standard.typed import TypedGraph

OPSET = 24


class NativeLowering:
    """Implements ``Lowering``."""

    def __init__(self, graph: TypedGraph, head_dim: int) -> None:
        self._graph = graph
        self._head_dim = head_dim
        graph.builder.input("write_indices", TensorProto.INT64, ["B"])

    def norm(self, name: str, x: str, factors: str, epsilon: float) -> str:
        """See ``Lowering``."""
        return self._graph.builder.op("RMSNormalization", name, [x, factors], axis=-1, epsilon=epsilon)

    def gelu(self, name: str, x: str) -> str:
        """See ``Lowering``."""
        return self._graph.builder.op("Gelu", name, [x], approximate="tanh")

    def rotate(self, name: str, x: str, rope: Rope, tables: tuple[str, str]) -> str:
        """See ``Lowering``."""
        dim = 2 * len(rope.inverse_frequencies)
        return self._graph.builder.op(
            "RotaryEmbedding",
            name,
            [x, *tables, "position_ids"],
            interleaved=int(rope.interleaved),
            rotary_embedding_dim=dim if dim < self._head_dim else 0,
        )

    def extend(self, cache: Cache, new: str, live: Callable[[str], str]) -> str:
        """See ``Lowering``: the output is the whole cache."""
        builder, present = self._graph.builder, f"present_{cache.place}"
        builder.output(present, self._graph.product_type, cache.shape)
        builder.op("TensorScatter", present, [cache.past, new, "write_indices"], axis=2, mode="linear")
        return live(present)

    def attend(self, name: str, heads: tuple[str, str, str], mask: str, scale: float) -> str:
        """See ``Lowering``."""
        query, key, value = heads
        op = self._graph.builder.op
        factor = self._graph.builder.constant(f"scale.{scale}", np.array(scale, dtype=np.float32))
        scaled = self._graph.narrow(op("Mul", f"{name}.scaled", [query, factor]))
        return op("Attention", name, [scaled, key, value, mask], scale=1.0)
