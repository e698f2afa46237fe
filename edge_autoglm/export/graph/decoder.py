"""From a `DecoderSpec` and its weights to the fused ONNX Runtime graph, a layer at a time.

Inputs of the graph, with B rows (KV slots), S tokens a row, C the capacity of a slot and N chosen positions:

- ``input_ids`` int64 ``[B, S]``
- ``seqlens_k`` int32 ``[B]``: tokens in the row after this step, less one
- ``total_sequence_length`` int32 scalar: the largest of those, without the less one
- ``logits_at`` int64 ``[N]``: indices into the B*S tokens of this step
- ``past_key.L``, ``past_value.L`` of the cache's type, ``[B, kv_heads, C, head_dim]``; bind each to the memory of its
  ``present``

Outputs: ``logits`` float32 ``[N, vocab]`` and the ``present`` tensors. The head runs on the chosen positions only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.export.graph.attention import AttentionNodes, KVScales
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import embed, project, project_tied
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import LayerWeights, Linear, Matrix

Array = npt.NDArray[np.float32]


class DecoderGraph:
    """Builds one decoder into one graph: ``start``, then the layers in order, then ``finish``.

    Args:
        graph: To append to.
        spec: Of the model.
        kv: Of the KV cache: ``fp32``, ``fp16`` or ``int8``.
    """

    def __init__(self, graph: GraphBuilder, spec: DecoderSpec, kv: str = "fp32") -> None:
        self._graph = graph
        self._spec = spec
        self._attention = AttentionNodes(graph, spec, kv)
        self._table: Matrix | None = None
        self._branch = ""
        self._residual = ""

    def start(self, table: Matrix) -> None:
        """Declare the inputs and embed the tokens with a table ``[vocab, hidden]``."""
        spec, graph = self._spec, self._graph
        self._table = table
        graph.input("input_ids", TensorProto.INT64, ["B", "S"])
        graph.input("logits_at", TensorProto.INT64, ["N"])
        self._attention.declare_lengths()
        graph.output("logits", TensorProto.FLOAT, ["N", spec.vocab_size])
        self._residual = embed(graph, "embedding", "input_ids", table)
        if spec.embedding_scale != 1:
            scale = graph.constant("embedding.scale", np.array(spec.embedding_scale, dtype=np.float32))
            self._residual = graph.op("Mul", "embedding.scaled", [self._residual, scale])

    def start_at(self, residual: str) -> None:
        """Start between two layers instead: a graph input holds the residual stream ``[B, S, hidden]``."""
        self._attention.declare_lengths()
        self._residual = self._graph.input(residual, TensorProto.FLOAT, ["B", "S", self._spec.hidden_size])

    def layer(self, index: int, weights: LayerWeights[Matrix], scales: KVScales | None = None) -> None:
        """Append one layer; ``scales`` are those of an int8 KV cache."""
        prefix = f"layer.{index}"
        normed = self._norm(f"{prefix}.attention_norm", weights.attention_norm)
        self._branch = self._attention.append(index, normed, weights, scales)
        self._sandwich(f"{prefix}.after_attention", weights.after_attention)
        normed = self._norm(f"{prefix}.mlp_norm", weights.mlp_norm)
        self._branch = self._mlp(prefix, normed, weights)
        self._sandwich(f"{prefix}.after_mlp", weights.after_mlp)

    def finish(self, final_norm: Array, head: Linear[Matrix] | None) -> None:
        """Append the head; ``None`` where the model uses the embedding's weights."""
        spec, graph = self._spec, self._graph
        normed = self._norm("final_norm", final_norm)
        width = graph.constant("head.shape", np.array([-1, spec.hidden_size], dtype=np.int64))
        rows = graph.op("Reshape", "head.rows", [normed, width])
        chosen = graph.op("Gather", "head.chosen", [rows, "logits_at"])
        if head is not None:
            project(graph, "logits", chosen, head)
        elif self._table is not None:
            project_tied(graph, "logits", chosen, "embedding", self._table)

    def finish_at(self, name: str) -> None:
        """End between two layers instead: a graph output holds the residual stream."""
        self._graph.op("Add", name, [self._residual, self._branch])
        self._graph.output(name, TensorProto.FLOAT, ["B", "S", self._spec.hidden_size])

    def _mlp(self, prefix: str, x: str, weights: LayerWeights[Matrix]) -> str:
        graph = self._graph
        both = project(graph, f"{prefix}.gate_up", x, weights.gate_up)
        gate = graph.op("Split", f"{prefix}.split", [both], [f"{prefix}.gate", f"{prefix}.up"], axis=-1, num_outputs=2)
        if self._spec.activation == "gelu_tanh":
            active = graph.op("Gelu", f"{prefix}.gelu", [gate], approximate="tanh")
        else:  # QuickGelu with alpha 1 is x * sigmoid(x): SiLU in one node
            active = graph.contrib("QuickGelu", f"{prefix}.silu", [gate], alpha=1.0)
        product = graph.op("Mul", f"{prefix}.gated", [active, f"{prefix}.up"])
        return project(graph, f"{prefix}.down", product, weights.down)

    def _sandwich(self, name: str, factors: Array | None) -> None:
        if factors is not None:
            gamma, epsilon = self._graph.weight(f"{name}.weight", factors), self._spec.norm_epsilon
            self._branch = self._graph.op("SimplifiedLayerNormalization", name, [self._branch, gamma], epsilon=epsilon)

    def _norm(self, name: str, factors: Array) -> str:
        """Add the last branch, if there is one, to the residual stream, and norm that."""
        graph, epsilon = self._graph, self._spec.norm_epsilon
        gamma = graph.weight(f"{name}.weight", factors)
        if not self._branch:
            return graph.op("SimplifiedLayerNormalization", name, [self._residual, gamma], epsilon=epsilon)
        outputs = [name, "", "", f"{name}.residual"]
        inputs = [self._branch, self._residual, gamma]
        graph.contrib("SkipSimplifiedLayerNormalization", name, inputs, outputs, epsilon=epsilon)
        self._residual = outputs[3]
        return name
