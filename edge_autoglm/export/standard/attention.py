"""The attention of one layer of the standard graph: projections, rotary embedding, KV cache."""

from __future__ import annotations

import numpy as np

from edge_autoglm.export.spec import DecoderSpec, Rope
from edge_autoglm.export.standard.linear import project
from edge_autoglm.export.standard.lowering import Array, Cache, Lowering
from edge_autoglm.export.standard.masks import MaskNodes
from edge_autoglm.export.standard.typed import TypedGraph
from edge_autoglm.export.weights import LayerWeights, Matrix


class StandardAttention:
    """Appends attention to a graph; keeps what the layers share.

    Args:
        graph: To append to.
        lowering: Of what newer operators exist for.
        spec: Of the model.
        capacity: Columns of the cache, and rows of the rotary tables.
    """

    def __init__(self, graph: TypedGraph, lowering: Lowering, spec: DecoderSpec, capacity: int) -> None:
        self._graph = graph
        self._builder = graph.builder
        self._lowering = lowering
        self._spec = spec
        self._capacity = capacity
        self._masks = MaskNodes(graph.builder)
        self._tables: dict[Rope, tuple[str, str]] = {}

    def append(self, layer: int, x: str, weights: LayerWeights[Matrix]) -> str:
        """Attention over the normed ``x`` ``[B, S, hidden]``, projected back to the hidden size."""
        spec, prefix, attention = self._spec, f"layer.{layer}", self._spec.attention[layer]
        query, key, value = self._heads(prefix, x, weights)
        query = self._turned(query, spec.heads, weights.query_norm, attention.rope)
        key = self._turned(key, spec.kv_heads, weights.key_norm, attention.rope)
        value = self._apart(value, spec.kv_heads)
        cached = [self._cached(layer, kind, new) for kind, new in (("key", key), ("value", value))]
        scale = spec.head_dim**-0.5 if spec.attention_scale is None else spec.attention_scale
        mask = self._masks.of(attention.window)
        attended = self._lowering.attend(f"{prefix}.attended", (query, cached[0], cached[1]), mask, scale)
        return project(self._graph, f"{prefix}.output", self._together(attended), weights.output)

    def _heads(self, prefix: str, x: str, weights: LayerWeights[Matrix]) -> tuple[str, str, str]:
        """Queries, keys and values ``[B, S, heads * head_dim]``."""
        spec = self._spec
        packed = project(self._graph, f"{prefix}.qkv", x, weights.qkv)
        sizes = self._builder.constant(
            "qkv.sizes", np.array([spec.query_size, spec.kv_size, spec.kv_size], dtype=np.int64)
        )
        parts = (f"{prefix}.query", f"{prefix}.key", f"{prefix}.value")
        self._builder.op("Split", f"{prefix}.qkv.split", [packed, sizes], parts, axis=-1)
        return parts

    def _turned(self, x: str, heads: int, factors: Array | None, rope: Rope) -> str:
        """Heads ``[B, heads, S, head_dim]``, each normed on its own where the family does so, and rotated."""
        x = self._apart(x, heads)
        if factors is not None:
            gamma = self._builder.weight(f"{x}.norm.weight", factors)
            x = self._lowering.norm(f"{x}.norm", x, gamma, self._spec.norm_epsilon)
        return self._lowering.rotate(f"{x}.rope", x, rope, self._rope_tables(rope))

    def _apart(self, x: str, heads: int) -> str:
        """``[B, S, heads * head_dim]`` to ``[B, heads, S, head_dim]``."""
        shape = self._builder.constant(f"apart.{heads}", np.array([0, 0, heads, self._spec.head_dim], dtype=np.int64))
        rows = self._builder.op("Reshape", f"{x}.rows", [x, shape])
        return self._builder.op("Transpose", f"{x}.heads", [rows], perm=[0, 2, 1, 3])

    def _together(self, x: str) -> str:
        """``[B, heads, S, head_dim]`` in the type of products to float32 ``[B, S, heads * head_dim]``."""
        shape = self._builder.constant("together", np.array([0, 0, self._spec.query_size], dtype=np.int64))
        rows = self._builder.op("Transpose", f"{x}.rows", [x], perm=[0, 2, 1, 3])
        return self._graph.widen(self._builder.op("Reshape", f"{x}.joined", [rows, shape]))

    def _cached(self, layer: int, kind: str, new: str) -> str:
        """Put new keys or values into the cache; returns its live columns."""
        spec = self._spec
        cache = Cache(f"{kind}.{layer}", ("B", spec.kv_heads, self._capacity, spec.head_dim))
        self._builder.input(cache.past, self._graph.product_type, cache.shape)
        return self._lowering.extend(cache, self._graph.narrow(new), self._masks.live)

    def _rope_tables(self, rope: Rope) -> tuple[str, str]:
        """Names of the cosine and sine tables ``[capacity, pairs]``; one pair for all layers of one rope."""
        if rope not in self._tables:
            angles = np.outer(np.arange(self._capacity), rope.inverse_frequencies)
            name = f"rope.{len(self._tables)}"
            cos, sin = (
                self._builder.weight(f"{name}.{kind}", (turn(angles) * rope.magnitude).astype(np.float32))
                for kind, turn in (("cos", np.cos), ("sin", np.sin))
            )
            self._tables[rope] = (cos, sin)
        return self._tables[rope]
