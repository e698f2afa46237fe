"""From a `DecoderSpec` and a checkpoint to the fused ONNX Runtime graph, a layer at a time.

Inputs of the graph, with B rows (KV slots), S tokens a row, C the capacity of a slot and N chosen positions:

- ``input_ids`` int64 ``[B, S]``
- ``seqlens_k`` int32 ``[B]``: tokens in the row after this step, less one
- ``total_sequence_length`` int32 scalar: the largest of those, without the less one
- ``logits_at`` int64 ``[N]``: indices into the B*S tokens of this step
- ``past_key.L``, ``past_value.L`` float32 ``[B, kv_heads, C, head_dim]``; bind each to the memory of its ``present``

Outputs: ``logits`` float32 ``[N, vocab]`` and the ``present`` tensors. The head runs on the chosen positions only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import LinearLowering
from edge_autoglm.export.spec import DecoderSpec, Rope
from edge_autoglm.values import Progress


class DecoderGraph:
    """Builds one decoder into one graph."""

    def __init__(self, graph: GraphBuilder, checkpoint: Checkpoint, spec: DecoderSpec, linear: LinearLowering) -> None:
        self._graph = graph
        self._checkpoint = checkpoint
        self._spec = spec
        self._linear = linear

    def build(self, progress: Progress) -> None:
        """Append every node and weight."""
        spec, graph = self._spec, self._graph
        steps = spec.layers + 2
        self._declare_inputs()
        progress("weights", 0, steps)
        residual = self._linear.embed(graph, "embedding", "input_ids", self._read(spec.names.embedding))
        normed = self._first_norm(residual)
        progress("weights", 1, steps)
        for layer in range(spec.layers):
            normed, residual = self._layer(layer, normed, residual)
            progress("weights", layer + 2, steps)
        self._head(normed)
        progress("weights", steps, steps)

    def _declare_inputs(self) -> None:
        spec, graph = self._spec, self._graph
        graph.input("input_ids", TensorProto.INT64, ["B", "S"])
        graph.input("seqlens_k", TensorProto.INT32, ["B"])
        graph.input("total_sequence_length", TensorProto.INT32, [])
        graph.input("logits_at", TensorProto.INT64, ["N"])
        for layer in range(spec.layers):
            for kind in ("key", "value"):
                shape: list[int | str] = ["B", spec.kv_heads, "C", spec.head_dim]
                graph.input(f"past_{kind}.{layer}", TensorProto.FLOAT, shape)
                graph.output(f"present_{kind}.{layer}", TensorProto.FLOAT, shape)
        graph.output("logits", TensorProto.FLOAT, ["N", spec.vocab_size])
        cos, sin = rope_tables(spec.rope, spec.context_length)
        graph.weight("rope.cos", cos)
        graph.weight("rope.sin", sin)

    def _layer(self, layer: int, normed: str, residual: str) -> tuple[str, str]:
        """One block; takes and returns the normed input of the block and the residual stream."""
        attended = self._attention(layer, normed)
        normed, residual = self._add_norm(
            f"layer.{layer}.mlp_norm", attended, residual, self._spec.names.mlp_norm, layer
        )
        hidden = self._mlp(layer, normed)
        if layer + 1 < self._spec.layers:
            name = self._spec.names.attention_norm
            return self._add_norm(f"layer.{layer + 1}.attention_norm", hidden, residual, name, layer + 1)
        return self._add_norm("final_norm", hidden, residual, self._spec.names.final_norm, layer)

    def _attention(self, layer: int, x: str) -> str:
        spec, graph, names = self._spec, self._graph, self._spec.names
        packed = np.concatenate([self._read(name, layer) for name in (names.query, names.key, names.value)])
        qkv = self._linear.project(graph, f"layer.{layer}.qkv", x, packed)
        inputs = [qkv, "", "", f"past_key.{layer}", f"past_value.{layer}", "seqlens_k", "total_sequence_length"]
        attended = graph.contrib(
            "GroupQueryAttention",
            f"layer.{layer}.attention",
            [*inputs, "rope.cos", "rope.sin"],
            [f"layer.{layer}.attended", f"present_key.{layer}", f"present_value.{layer}"],
            num_heads=spec.heads,
            kv_num_heads=spec.kv_heads,
            do_rotary=1,
        )
        return self._linear.project(graph, f"layer.{layer}.output", attended, self._read(names.output, layer))

    def _mlp(self, layer: int, x: str) -> str:
        graph, names, prefix = self._graph, self._spec.names, f"layer.{layer}"
        fused = np.concatenate([self._read(names.gate, layer), self._read(names.up, layer)])
        both = self._linear.project(graph, f"{prefix}.gate_up", x, fused)
        gate = graph.op("Split", f"{prefix}.split", [both], [f"{prefix}.gate", f"{prefix}.up"], axis=-1, num_outputs=2)
        # QuickGelu with alpha 1 is x * sigmoid(x): SiLU in one node.
        silu = graph.contrib("QuickGelu", f"{prefix}.silu", [gate], alpha=1.0)
        product = graph.op("Mul", f"{prefix}.gated", [silu, f"{prefix}.up"])
        return self._linear.project(graph, f"{prefix}.down", product, self._read(names.down, layer))

    def _first_norm(self, x: str) -> str:
        gamma = self._graph.weight("layer.0.attention_norm.weight", self._read(self._spec.names.attention_norm, 0))
        epsilon = self._spec.norm_epsilon
        return self._graph.op("SimplifiedLayerNormalization", "layer.0.attention_norm", [x, gamma], epsilon=epsilon)

    def _add_norm(self, name: str, x: str, residual: str, weight: str, layer: int) -> tuple[str, str]:
        gamma = self._graph.weight(f"{name}.weight", self._read(weight, layer))
        outputs = [name, "", "", f"{name}.residual"]
        epsilon = self._spec.norm_epsilon
        self._graph.contrib("SkipSimplifiedLayerNormalization", name, [x, residual, gamma], outputs, epsilon=epsilon)
        return name, outputs[3]

    def _head(self, normed: str) -> None:
        spec, graph = self._spec, self._graph
        width = graph.constant("head.shape", np.array([-1, spec.hidden_size], dtype=np.int64))
        rows = graph.op("Reshape", "head.rows", [normed, width])
        chosen = graph.op("Gather", "head.chosen", [rows, "logits_at"])
        shape = (spec.vocab_size, spec.hidden_size)
        if spec.tied_head:
            self._linear.project_tied(graph, "logits", chosen, "embedding", shape)
        else:
            self._linear.project(graph, "logits", chosen, self._read(spec.names.head))

    def _read(self, name: str, layer: int = 0) -> npt.NDArray[np.float32]:
        tensor = name.format(layer)
        array = self._checkpoint.read(tensor)
        if not np.isfinite(array).all():
            raise UnsupportedModel(
                f"{self._checkpoint.location}: tensor {tensor} holds NaN or infinite values", "Get a sound checkpoint."
            )
        return array


def rope_tables(rope: Rope, positions: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosine and sine tables ``[positions, dim / 2]`` (Su et al. 2021, equation 34)."""
    exponent = np.arange(0, rope.dim, 2, dtype=np.float64) / rope.dim
    angles = np.outer(np.arange(positions, dtype=np.float64), rope.theta**-exponent)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
