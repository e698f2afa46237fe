"""From a `DecoderSpec` and its weights to the standard graph, a layer at a time.

Inputs, with B rows (KV slots), S tokens a row, C the capacity of a slot, T the columns of it that this step reads (the
live length, rounded up to a bucket) and N chosen positions:

- ``input_ids`` int64 ``[B, S]``
- ``position_ids`` int64 ``[B, S]``: of the tokens in their rows
- ``attn_mask`` bool ``[B, 1, S, T]``: which columns each token sees; no row of it may be false throughout
- ``logits_at`` int64 ``[N]``: indices into the B*S tokens of this step
- ``past_key.L``, ``past_value.L`` in the type of products, ``[B, kv_heads, C, head_dim]``, finite throughout: hidden
  columns are multiplied by 0

Outputs: ``logits`` float32 ``[N, vocab]``, and

- in the native lowering the caches ``present_key.L`` and ``present_value.L``, at the addresses of their inputs. It has
  one more input, ``write_indices`` int64 ``[B]``: where a row's first token goes; ``write_indices + S <= C``;
- in the decomposed one ``new_key.L`` and ``new_value.L`` ``[B, kv_heads, S, head_dim]``, for whoever runs the graph to
  put into the cache.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from edge_autoglm.errors import ExportError
from edge_autoglm.export.graph.attention import KVScales
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard.attention import StandardAttention
from edge_autoglm.export.standard.linear import embed, project, project_tied
from edge_autoglm.export.standard.lowering import Array, Lowering
from edge_autoglm.export.standard.typed import TypedGraph
from edge_autoglm.export.weights import LayerWeights, Linear, Matrix


class StandardDecoder:
    """Builds one decoder into one graph. Implements ``Decoder``.

    Args:
        graph: To append to.
        lowering: Of what newer operators exist for.
        spec: Of the model.
        capacity: Columns of the cache, fixed: TensorRT updates a cache of known length only.
    """

    def __init__(self, graph: TypedGraph, lowering: Lowering, spec: DecoderSpec, capacity: int) -> None:
        self._graph = graph
        self._builder = graph.builder
        self._lowering = lowering
        self._spec = spec
        self._declare()
        self._attention = StandardAttention(graph, lowering, spec, capacity)
        self._table: Matrix | None = None
        self._residual = ""

    def start(self, table: Matrix) -> None:
        """See ``Decoder``."""
        self._table = table
        self._residual = embed(self._graph, "embedding", "input_ids", table)
        if self._spec.embedding_scale != 1:
            scale = self._builder.constant("embedding.scale", np.array(self._spec.embedding_scale, dtype=np.float32))
            self._residual = self._builder.op("Mul", "embedding.scaled", [self._residual, scale])

    def layer(self, index: int, weights: LayerWeights[Matrix], scales: KVScales | None = None) -> None:
        """See ``Decoder``."""
        if scales is not None:
            raise ExportError("the standard graph has no int8 KV cache", "Leave out kv.")
        prefix = f"layer.{index}"
        attended = self._attention.append(
            index, self._norm(f"{prefix}.attention_norm", self._residual, weights.attention_norm), weights
        )
        self._add(f"{prefix}.after_attention", attended, weights.after_attention)
        made = self._mlp(prefix, self._norm(f"{prefix}.mlp_norm", self._residual, weights.mlp_norm), weights)
        self._add(f"{prefix}.after_mlp", made, weights.after_mlp)

    def finish(self, final_norm: Array, head: Linear[Matrix] | None) -> None:
        """See ``Decoder``."""
        op = self._builder.op
        width = self._builder.constant("head.shape", np.array([-1, self._spec.hidden_size], dtype=np.int64))
        rows = op("Reshape", "head.rows", [self._residual, width])
        chosen = self._norm("final_norm", op("Gather", "head.chosen", [rows, "logits_at"]), final_norm)
        if head is not None:
            logits = project(self._graph, "head", chosen, head)
        elif self._table is not None:
            logits = project_tied(self._graph, "head", chosen, "embedding", self._table)
        op("Identity", "logits", [logits])

    def _declare(self) -> None:
        integers: dict[str, list[int | str]] = {
            "input_ids": ["B", "S"],
            "position_ids": ["B", "S"],
            "logits_at": ["N"],
        }
        for name, shape in integers.items():
            self._builder.input(name, TensorProto.INT64, shape)
        self._builder.input("attn_mask", TensorProto.BOOL, ["B", 1, "S", "T"])
        self._builder.output("logits", TensorProto.FLOAT, ["N", self._spec.vocab_size])

    def _mlp(self, prefix: str, x: str, weights: LayerWeights[Matrix]) -> str:
        op = self._builder.op
        both = project(self._graph, f"{prefix}.gate_up", x, weights.gate_up)
        gate = op("Split", f"{prefix}.split", [both], [f"{prefix}.gate", f"{prefix}.up"], axis=-1, num_outputs=2)
        if self._spec.activation == "gelu_tanh":
            active = self._lowering.gelu(f"{prefix}.gelu", gate)
        else:
            active = op("Mul", f"{prefix}.silu", [gate, op("Sigmoid", f"{prefix}.sigmoid", [gate])])
        return project(
            self._graph, f"{prefix}.down", op("Mul", f"{prefix}.gated", [active, f"{prefix}.up"]), weights.down
        )

    def _add(self, name: str, branch: str, sandwich: Array | None) -> None:
        """Add a branch to the residual stream, normed first where the family does so."""
        if sandwich is not None:
            branch = self._norm(name, branch, sandwich)
        self._residual = self._builder.op("Add", f"{name}.residual", [self._residual, branch])

    def _norm(self, name: str, x: str, factors: Array) -> str:
        gamma = self._builder.weight(f"{name}.weight", factors)
        return self._lowering.norm(name, x, gamma, self._spec.norm_epsilon)
