"""Which numbers are float16: the operands of products and the KV cache. Everything between products is float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from edge_autoglm.export.graph.builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class TypedGraph:
    """A graph and the type that it multiplies in.

    TensorRT's networks are strongly typed: an operator computes in the type of its inputs. Residual stream, norms,
    rotary embedding, biases, gates and softmax are therefore float32, and a product's operands are narrowed right
    before it. TensorRT fuses the casts into the kernels beside them.

    Attributes:
        builder: To append to.
        half: Whether products are float16; float32 otherwise.
    """

    builder: GraphBuilder
    half: bool

    @property
    def product_type(self) -> int:
        """ONNX type of the operands of products."""
        return int(TensorProto.FLOAT16 if self.half else TensorProto.FLOAT)

    @property
    def product_dtype(self) -> npt.DTypeLike:
        """NumPy type of the operands of products."""
        return np.float16 if self.half else np.float32

    def narrow(self, x: str) -> str:
        """A float32 tensor as an operand of a product."""
        return self.builder.op("Cast", f"{x}.half", [x], to=TensorProto.FLOAT16) if self.half else x

    def widen(self, x: str) -> str:
        """The result of a product as float32."""
        return self.builder.op("Cast", f"{x}.float", [x], to=TensorProto.FLOAT) if self.half else x
