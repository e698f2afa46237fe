"""The choices of one standard graph."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import ExportError
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard import decomposed, native
from edge_autoglm.export.standard.decoder import StandardDecoder
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName
from edge_autoglm.export.standard.typed import TypedGraph

PRECISIONS = ("fp32", "fp16", "int8", "w8a8", "int4")


@dataclass(frozen=True, slots=True)
class StandardDialect:
    """Operators of plain ONNX. Implements ``Dialect``.

    Attributes:
        lowering: ``native`` for TensorRT from 10.15 on, ``decomposed`` for older ones.
        precision: ``fp32``, ``fp16``, ``int8``, ``w8a8`` or ``int4``; all but the first multiply in float16 and have a
            float16 cache.
        capacity: Columns of the KV cache; TensorRT wants it fixed.

    Raises:
        ExportError: A value is not known or out of range.
    """

    lowering: LoweringName
    precision: str
    capacity: int

    def __post_init__(self) -> None:
        known = {"lowering": LOWERINGS, "precision": PRECISIONS}
        for name, values in known.items():
            if (value := getattr(self, name)) not in values:
                raise ExportError(f"{name} {value!r} is not known", f"Use one of: {', '.join(values)}.")
        if self.capacity < 1:
            raise ExportError(f"capacity is {self.capacity}", "Give the number of tokens that a row may hold.")

    @property
    def opset(self) -> int:
        """See ``Dialect``."""
        if self.lowering == "native":
            return native.OPSET
        return decomposed.INT4_OPSET if self.precision == "int4" else decomposed.OPSET

    def decoder(self, graph: GraphBuilder, spec: DecoderSpec) -> StandardDecoder:
        """See ``Dialect``."""
        typed = TypedGraph(graph, half=self.precision != "fp32")
        if self.lowering == "native":
            return StandardDecoder(typed, native.NativeLowering(typed, spec.head_dim), spec, self.capacity)
        return StandardDecoder(typed, decomposed.DecomposedLowering(typed, spec), spec, self.capacity)
