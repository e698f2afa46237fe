"""How a weight matrix enters the graph, a class a precision: projections, and the embedding that the head may share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.quantize import BLOCK_SIZE, quantize_blocks

Weights = npt.NDArray[np.float32]

_INT8_ACTIVATIONS = 4
"""``accuracy_level`` of MatMulNBits: activations are quantised to int8 a block at run time."""


class LinearLowering(Protocol):
    """Lowers ``x @ weight.T`` and row look-ups; weights are ``[out, in]``."""

    def project(self, graph: GraphBuilder, name: str, x: str, weight: Weights) -> str:
        """``[..., in]`` to ``[..., out]``."""
        ...

    def embed(self, graph: GraphBuilder, name: str, ids: str, weight: Weights) -> str:
        """Rows of the table ``[vocab, hidden]`` for the ids."""
        ...

    def project_tied(
        self, graph: GraphBuilder, name: str, x: str, embedding: str, weight_shape: tuple[int, int]
    ) -> str:
        """Project with the weights that ``embed`` stored under the name ``embedding``."""
        ...


class Float32:
    """Plain float32 matrices."""

    def project(self, graph: GraphBuilder, name: str, x: str, weight: Weights) -> str:
        """See `LinearLowering`."""
        return graph.op("MatMul", name, [x, graph.weight(f"{name}.weight", weight.T)])

    def embed(self, graph: GraphBuilder, name: str, ids: str, weight: Weights) -> str:
        """See `LinearLowering`."""
        return graph.op("Gather", name, [graph.weight(f"{name}.weight", weight), ids])

    def project_tied(
        self, graph: GraphBuilder, name: str, x: str, embedding: str, weight_shape: tuple[int, int]
    ) -> str:
        """See `LinearLowering`."""
        return graph.op("Gemm", name, [x, f"{embedding}.weight"], transB=1)


class Int8Blocks:
    """8-bit weights in blocks of 32 with a float32 scale each."""

    def project(self, graph: GraphBuilder, name: str, x: str, weight: Weights) -> str:
        """See `LinearLowering`."""
        blocks = quantize_blocks(weight)
        data = graph.weight(f"{name}.weight", blocks.data)
        scales = graph.weight(f"{name}.scales", blocks.scales)
        return self._matmul(graph, name, x, data, scales, weight.shape)

    def embed(self, graph: GraphBuilder, name: str, ids: str, weight: Weights) -> str:
        """See `LinearLowering`."""
        blocks = quantize_blocks(weight)
        rows = blocks.data.shape[0]
        data = graph.weight(f"{name}.weight", blocks.data.reshape(rows, -1))
        scales = graph.weight(f"{name}.scales", blocks.scales)
        return graph.contrib(
            "GatherBlockQuantized",
            name,
            [data, ids, scales],
            bits=8,
            block_size=BLOCK_SIZE,
            gather_axis=0,
            quantize_axis=1,
        )

    def project_tied(
        self, graph: GraphBuilder, name: str, x: str, embedding: str, weight_shape: tuple[int, int]
    ) -> str:
        """See `LinearLowering`."""
        rows, columns = weight_shape
        shape = (rows, -(-columns // BLOCK_SIZE), BLOCK_SIZE)
        data = graph.alias(f"{embedding}.weight", f"{name}.weight", shape)
        return self._matmul(graph, name, x, data, f"{embedding}.scales", weight_shape)

    @staticmethod
    def _matmul(graph: GraphBuilder, name: str, x: str, data: str, scales: str, weight_shape: tuple[int, ...]) -> str:
        rows, columns = weight_shape
        return graph.contrib(
            "MatMulNBits",
            name,
            [x, data, scales],
            N=rows,
            K=columns,
            bits=8,
            block_size=BLOCK_SIZE,
            accuracy_level=_INT8_ACTIVATIONS,
        )


LOWERINGS: dict[str, LinearLowering] = {"fp32": Float32(), "int8": Int8Blocks()}
"""Precision name to lowering."""
