"""Which operators a graph is written in: ONNX Runtime's own, or those of the standard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge_autoglm.export.graph.attention import KVScales
from edge_autoglm.export.graph.builder import OPSET, GraphBuilder
from edge_autoglm.export.graph.decoder import DecoderGraph
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Array, LayerWeights, Linear, Matrix


class Decoder(Protocol):
    """Appends a decoder to a graph: ``start``, then the layers in order, then ``finish``."""

    def start(self, table: Matrix) -> None:
        """Declare the inputs and embed the tokens with a table ``[vocab, hidden]``."""
        ...

    def layer(self, index: int, weights: LayerWeights[Matrix], scales: KVScales | None = None) -> None:
        """Append one layer; ``scales`` are those of an int8 KV cache."""
        ...

    def finish(self, final_norm: Array, head: Linear[Matrix] | None) -> None:
        """Append the head; ``None`` where the model uses the embedding's weights."""
        ...


class Dialect(Protocol):
    """Makes decoders. Frozen; holds the choices of one export."""

    @property
    def opset(self) -> int:
        """Of the standard operators."""
        ...

    def decoder(self, graph: GraphBuilder, spec: DecoderSpec) -> Decoder:
        """A decoder that appends to a graph."""
        ...


@dataclass(frozen=True, slots=True)
class OrtDialect:
    """ONNX Runtime's fused operators. Implements ``Dialect``.

    Attributes:
        kv: Of the KV cache: ``fp32``, ``fp16`` or ``int8``.
        opset: See ``Dialect``.
    """

    kv: str = "fp32"
    opset: int = OPSET

    def decoder(self, graph: GraphBuilder, spec: DecoderSpec) -> DecoderGraph:
        """See ``Dialect``."""
        return DecoderGraph(graph, spec, self.kv)
