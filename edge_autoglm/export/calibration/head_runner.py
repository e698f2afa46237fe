"""Runs the end of a decoder, final norm and head, over a residual stream."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edge_autoglm.export.calibration.layer_runner import open_session
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import project
from edge_autoglm.export.graph.weight_file import InlineWeights
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Array, Linear, Matrix

ROWS = 128
"""Positions at a time: logits are as wide as the vocabulary."""


class HeadRunner:
    """From the residual stream behind the last layer to logits."""

    def __init__(self, spec: DecoderSpec, final_norm: Array, head: Linear[Matrix], threads: int) -> None:
        graph = GraphBuilder(InlineWeights())
        x = graph.input("residual", TensorProto.FLOAT, ["S", spec.hidden_size])
        gamma = graph.weight("final_norm.weight", final_norm)
        normed = graph.op("SimplifiedLayerNormalization", "final_norm", [x, gamma], epsilon=spec.norm_epsilon)
        project(graph, "logits", normed, head)
        graph.output_of("logits")
        self._session = open_session(graph.serialize("head"), threads)

    def logits(self, hidden: Array) -> Iterator[Array]:
        """Logits ``[some positions, vocab]`` at a time of a stream ``[windows, tokens, hidden]``."""
        flat = hidden.reshape(-1, hidden.shape[-1])
        for start in range(0, len(flat), ROWS):
            yield self._session.run(["logits"], {"residual": flat[start : start + ROWS]})[0]
