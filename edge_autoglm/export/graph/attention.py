"""The attention of one layer: projections, rotary embedding and KV cache around GroupQueryAttention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import project
from edge_autoglm.export.spec import DecoderSpec, Rope
from edge_autoglm.export.weights import LayerWeights, Matrix

Array = npt.NDArray[np.float32]

_CACHE_TYPES = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "int8": TensorProto.INT8}
_SCALES_AT = 12
"""Place of the cache's scales among the inputs of GroupQueryAttention."""


@dataclass(frozen=True, slots=True)
class KVScales:
    """Of one layer's int8 cache: ``value = scale * level``, a scale a channel ``[kv_heads * head_dim]``."""

    key: Array
    value: Array


class AttentionNodes:
    """Appends attention to a graph; keeps what the layers share."""

    def __init__(self, graph: GraphBuilder, spec: DecoderSpec, kv: str) -> None:
        self._graph = graph
        self._spec = spec
        self._kv = kv
        self._ropes: list[Rope] = []
        self._positioned = False

    def declare_lengths(self) -> None:
        """Declare the inputs that say how many tokens the rows hold."""
        self._graph.input("seqlens_k", TensorProto.INT32, ["B"])
        self._graph.input("total_sequence_length", TensorProto.INT32, [])

    def append(self, layer: int, x: str, weights: LayerWeights[Matrix], scales: KVScales | None) -> str:
        """Attention over the normed ``x`` ``[B, S, hidden]``, projected back to the hidden size.

        ``scales`` are those of an int8 KV cache.
        """
        spec, graph, prefix = self._spec, self._graph, f"layer.{layer}"
        past, present = self._declare_cache(layer)
        packed = project(graph, f"{prefix}.qkv", x, weights.qkv)
        attention = spec.attention[layer]
        attributes: dict[str, Any] = {"rotary_interleaved": int(attention.rope.interleaved), "do_rotary": 1}
        tables = self._tables(attention.rope)
        inputs = self._queries(prefix, packed, weights)
        if not self._rotates_inside(attention.rope):
            query = self._rotate(inputs[0], spec.heads, attention.rope, tables)
            inputs = [query, self._rotate(inputs[1], spec.kv_heads, attention.rope, tables), inputs[2]]
            attributes, tables = {}, []
        if self._kv == "fp16":
            inputs[1:] = [self._round_to_half(x) for x in inputs[1:]]
        trailing = ["seqlens_k", "total_sequence_length", *tables]
        if scales is not None:
            attributes |= {"kv_cache_bit_width": 8, "k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL"}
            names = [graph.weight(f"{prefix}.{kind}_scale", getattr(scales, kind)) for kind in ("key", "value")]
            trailing += [""] * (_SCALES_AT - 5 - len(trailing)) + names
        if spec.attention_scale is not None:
            attributes["scale"] = spec.attention_scale
        if attention.window is not None:
            attributes["local_window_size"] = attention.window
        attended = graph.contrib(
            "GroupQueryAttention",
            f"{prefix}.attention",
            [*inputs, *past, *trailing],
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
            self._graph.input(name, _CACHE_TYPES[self._kv], shape)
        for name in present:
            self._graph.output(name, _CACHE_TYPES[self._kv], shape)
        return past, present

    def _queries(self, prefix: str, packed: str, weights: LayerWeights[Matrix]) -> list[str]:
        """Query, key and value inputs: one packed tensor, or three where something is done to the heads before."""
        normed = weights.query_norm is not None or weights.key_norm is not None
        if not normed and all(self._rotates_inside(attention.rope) for attention in self._spec.attention):
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

    def _rotates_inside(self, rope: Rope) -> bool:
        """Whether GroupQueryAttention rotates: it works on eight pairs at a time, and hides the rotated keys.

        With a float16 cache it attends to the keys of the same step before they are rounded, and to older ones after:
        a prompt in chunks would not equal a whole one. So they are rotated and rounded before it.
        """
        return len(rope.inverse_frequencies) % 8 == 0 and self._kv != "fp16"

    def _round_to_half(self, x: str) -> str:
        half = self._graph.op("Cast", f"{x}.half", [x], to=TensorProto.FLOAT16)
        return self._graph.op("Cast", f"{x}.rounded", [half], to=TensorProto.FLOAT)

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
            rope_tables(self._graph, f"rope.{len(self._ropes) - 1}", rope, self._spec.context_length)
        index = self._ropes.index(rope)
        return [f"rope.{index}.cos", f"rope.{index}.sin"]


def rope_tables(graph: GraphBuilder, name: str, rope: Rope, positions: int) -> None:
    """Cosine and sine tables ``[positions, pairs]`` (Su et al. 2021, equation 34) under ``name``.

    They are computed when the graph is loaded, in double precision, and not stored: at a context of 131,072 tokens
    they are larger than a layer.
    """
    start, step = (graph.constant(f"rope.{value}", np.array(value)) for value in (0.0, 1.0))
    count = graph.constant(f"{name}.count", np.array(float(positions)))
    steps = graph.op("Range", f"{name}.steps", [start, count, step])
    axis = graph.constant("rope.axis", np.array([1], dtype=np.int64))
    rows = graph.op("Unsqueeze", f"{name}.positions", [steps, axis])
    frequencies = graph.constant(f"{name}.frequencies", np.array(rope.inverse_frequencies))
    angles = graph.op("Mul", f"{name}.angles", [rows, frequencies])
    quarter = graph.constant("rope.quarter", np.array(np.pi / 2))
    # ONNX Runtime 1.23 has a sine of doubles and no cosine.
    for kind, angle in (("cos", graph.op("Add", f"{name}.shifted", [angles, quarter])), ("sin", angles)):
        values = graph.op("Sin", f"{name}.{kind}.double", [angle])
        if rope.magnitude != 1:
            magnitude = graph.constant(f"{name}.magnitude", np.array(rope.magnitude))
            values = graph.op("Mul", f"{name}.{kind}.scaled", [values, magnitude])
        graph.op("Cast", f"{name}.{kind}", [values], to=TensorProto.FLOAT)
