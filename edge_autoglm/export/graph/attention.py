"""The attention of one layer: projections, rotary embedding and KV cache around GroupQueryAttention."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import project
from edge_autoglm.export.spec import DecoderSpec, Rope
from edge_autoglm.export.weights import LayerWeights, Matrix

Array = npt.NDArray[np.float32]


class AttentionNodes:
    """Appends attention to a graph; keeps what the layers share."""

    def __init__(self, graph: GraphBuilder, spec: DecoderSpec) -> None:
        self._graph = graph
        self._spec = spec
        self._ropes: list[Rope] = []
        self._positioned = False

    def declare_lengths(self) -> None:
        """Declare the inputs that say how many tokens the rows hold."""
        self._graph.input("seqlens_k", TensorProto.INT32, ["B"])
        self._graph.input("total_sequence_length", TensorProto.INT32, [])

    def append(self, layer: int, x: str, weights: LayerWeights[Matrix]) -> str:
        """Attention over the normed ``x`` ``[B, S, hidden]``, projected back to the hidden size."""
        spec, graph, prefix = self._spec, self._graph, f"layer.{layer}"
        past, present = self._declare_cache(layer)
        packed = project(graph, f"{prefix}.qkv", x, weights.qkv)
        attention = spec.attention[layer]
        attributes: dict[str, Any] = {"rotary_interleaved": int(attention.rope.interleaved), "do_rotary": 1}
        tables = self._tables(attention.rope)
        inputs = self._queries(prefix, packed, weights)
        if not _rotates_inside(attention.rope):
            query = self._rotate(inputs[0], spec.heads, attention.rope, tables)
            inputs = [query, self._rotate(inputs[1], spec.kv_heads, attention.rope, tables), inputs[2]]
            attributes, tables = {}, []
        if spec.attention_scale is not None:
            attributes["scale"] = spec.attention_scale
        if attention.window is not None:
            attributes["local_window_size"] = attention.window
        attended = graph.contrib(
            "GroupQueryAttention",
            f"{prefix}.attention",
            [*inputs, *past, "seqlens_k", "total_sequence_length", *tables],
            [f"{prefix}.attended", *present],
            num_heads=spec.heads,
            kv_num_heads=spec.kv_heads,
            **attributes,
        )
        return project(graph, f"{prefix}.output", attended, weights.output)

    def _declare_cache(self, layer: int) -> tuple[list[str], list[str]]:
        shape: list[int | str] = ["B", self._spec.kv_heads, "C", self._spec.head_dim]
        past = [f"past_{kind}.{layer}" for kind in ("key", "value")]
        present = [f"present_{kind}.{layer}" for kind in ("key", "value")]
        for name in past:
            self._graph.input(name, TensorProto.FLOAT, shape)
        for name in present:
            self._graph.output(name, TensorProto.FLOAT, shape)
        return past, present

    def _queries(self, prefix: str, packed: str, weights: LayerWeights[Matrix]) -> list[str]:
        """Query, key and value inputs: one packed tensor, or three where something is done to the heads before."""
        normed = weights.query_norm is not None or weights.key_norm is not None
        if not normed and all(_rotates_inside(attention.rope) for attention in self._spec.attention):
            return [packed, "", ""]
        spec, graph = self._spec, self._graph
        sizes = graph.constant("qkv.sizes", np.array([spec.query_size, spec.kv_size, spec.kv_size], dtype=np.int64))
        parts = [f"{prefix}.{kind}" for kind in ("query", "key", "value")]
        graph.op("Split", f"{prefix}.qkv.split", [packed, sizes], parts, axis=-1)
        query = self._norm_heads(parts[0], spec.heads, weights.query_norm)
        return [query, self._norm_heads(parts[1], spec.kv_heads, weights.key_norm), parts[2]]

    def _norm_heads(self, x: str, heads: int, factors: Array | None) -> str:
        """Norm each head on its own (Henry et al. 2020, with RMS norms)."""
        if factors is None:
            return x
        graph, head_dim = self._graph, self._spec.head_dim
        split = graph.constant(f"heads.{heads}", np.array([0, 0, heads, head_dim], dtype=np.int64))
        join = graph.constant(f"heads.{heads}.joined", np.array([0, 0, heads * head_dim], dtype=np.int64))
        separate = graph.op("Reshape", f"{x}.heads", [x, split])
        gamma = graph.weight(f"{x}_norm.weight", factors)
        normed = graph.op(
            "SimplifiedLayerNormalization", f"{x}_norm", [separate, gamma], epsilon=self._spec.norm_epsilon
        )
        return graph.op("Reshape", f"{x}.normed", [normed, join])

    def _rotate(self, x: str, heads: int, rope: Rope, tables: list[str]) -> str:
        """Rotate outside of GroupQueryAttention what that refuses."""
        dim = 2 * len(rope.inverse_frequencies)
        return self._graph.contrib(
            "RotaryEmbedding",
            f"{x}.rotated",
            [x, self._positions(x), *tables],
            interleaved=int(rope.interleaved),
            num_heads=heads,
            rotary_embedding_dim=dim if dim < self._spec.head_dim else 0,
        )

    def _positions(self, x: str) -> str:
        """Positions ``[B, S]`` of this step's tokens: the last ones of each row."""
        if not self._positioned:
            self._positioned = True
            graph = self._graph
            zero, one = (graph.constant(f"int.{value}", np.array(value, dtype=np.int64)) for value in (0, 1))
            axis = graph.constant("int.axis", np.array([1], dtype=np.int64))
            tokens = graph.op("Gather", "positions.tokens", [graph.op("Shape", "positions.shape", [x]), one])
            last = graph.op("Cast", "positions.last", ["seqlens_k"], to=TensorProto.INT64)
            start = graph.op("Sub", "positions.start", [graph.op("Add", "positions.end", [last, one]), tokens])
            steps = graph.op("Range", "positions.steps", [zero, tokens, one])
            graph.op("Add", "positions", [graph.op("Unsqueeze", "positions.rows", [start, axis]), steps])
        return "positions"

    def _tables(self, rope: Rope) -> list[str]:
        """Names of the cosine and sine tables; one pair for all layers of one rope."""
        if rope not in self._ropes:
            self._ropes.append(rope)
            cos, sin = rope_tables(rope, self._spec.context_length)
            index = len(self._ropes) - 1
            self._graph.weight(f"rope.{index}.cos", cos)
            self._graph.weight(f"rope.{index}.sin", sin)
        index = self._ropes.index(rope)
        return [f"rope.{index}.cos", f"rope.{index}.sin"]


def _rotates_inside(rope: Rope) -> bool:
    """Whether GroupQueryAttention takes the rope: it works on eight pairs at a time."""
    return len(rope.inverse_frequencies) % 8 == 0


def rope_tables(rope: Rope, positions: int) -> tuple[Array, Array]:
    """Cosine and sine tables ``[positions, pairs]`` (Su et al. 2021, equation 34)."""
    angles = np.outer(np.arange(positions, dtype=np.float64), np.array(rope.inverse_frequencies))
    cos, sin = np.cos(angles) * rope.magnitude, np.sin(angles) * rope.magnitude
    return cos.astype(np.float32), sin.astype(np.float32)
