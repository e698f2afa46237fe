"""The weights of a decoder between checkpoint and graph: a layer at a time, each matrix in the form it is stored in.

A matrix is ``[out, in]``: ``y = x @ weight.T + bias``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.spec import DecoderSpec

Array = npt.NDArray[np.float32]

_PIECE = 1 << 22


@dataclass(frozen=True, slots=True)
class Dense:
    """Plain values, float32 or float16."""

    values: npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """Weights in blocks along the input dimension: ``weight[n, k] = scales[n, b] * (level[n, k] - zero[n, b])``.

    Attributes:
        data: uint8 ``[out, blocks, block * bits / 8]``; at 4 bits the even column of a pair is the low half of a byte.
            The last block is padded with its zero point.
        scales: float32 ``[out, blocks]``.
        zero_points: uint8 levels ``[out, blocks]`` (not packed); ``2 ** (bits - 1)`` everywhere where ``None``.
        bits: 4 or 8.
        block: Columns that share a scale.
        columns: Input features, before padding.
    """

    data: npt.NDArray[np.uint8]
    scales: Array
    zero_points: npt.NDArray[np.uint8] | None
    bits: int
    block: int
    columns: int


@dataclass(frozen=True, slots=True)
class RowWeights:
    """One scale an output channel: ``weight[n, k] = scales[n] * data[n, k]``.

    Attributes:
        data: int8 ``[out, in]``; for ONNX Runtime's integer products with pairs of neighbours as ``quantize/rows.py``
            wants them.
        scales: float32 ``[out]``.
        input_scale: Of the int8 levels that the standard graph rounds the inputs to; ``None`` where it does not.
            ONNX Runtime's graph finds a scale for each token instead.
    """

    data: npt.NDArray[np.int8]
    scales: Array
    input_scale: float | None = None


@dataclass(frozen=True, slots=True)
class Stacked:
    """Matrices of different form over the same input, joined along the output dimension."""

    parts: tuple[Dense | BlockWeights | RowWeights, ...]


Matrix: TypeAlias = Dense | BlockWeights | RowWeights | Stacked
M = TypeVar("M", bound=Matrix, covariant=True)


@dataclass(frozen=True, slots=True)
class Linear(Generic[M]):
    """A matrix and its bias."""

    weight: M
    bias: Array | None = None


@dataclass(frozen=True, slots=True)
class LayerWeights(Generic[M]):
    """Everything of one decoder layer. Norm weights are the factors themselves, a family's offset added."""

    attention_norm: Array
    qkv: Linear[M]
    query_norm: Array | None
    key_norm: Array | None
    output: Linear[M]
    after_attention: Array | None
    mlp_norm: Array
    gate_up: Linear[M]
    down: Linear[M]
    after_mlp: Array | None


LINEARS = ("qkv", "output", "gate_up", "down")
"""Fields of `LayerWeights` that are matrices, in the order in which a forward pass meets them."""


def map_linears(
    weights: LayerWeights[Dense], store: Callable[[str, Linear[Dense]], Linear[Matrix]]
) -> LayerWeights[Matrix]:
    """The same layer with its matrices in another form; ``store`` is given the field's name too."""
    return LayerWeights(
        attention_norm=weights.attention_norm,
        qkv=store("qkv", weights.qkv),
        query_norm=weights.query_norm,
        key_norm=weights.key_norm,
        output=store("output", weights.output),
        after_attention=weights.after_attention,
        mlp_norm=weights.mlp_norm,
        gate_up=store("gate_up", weights.gate_up),
        down=store("down", weights.down),
        after_mlp=weights.after_mlp,
    )


class WeightReader:
    """Reads the weights that a description names, joined and checked."""

    def __init__(self, checkpoint: Checkpoint, spec: DecoderSpec) -> None:
        self._checkpoint = checkpoint
        self._spec = spec

    def layer(self, index: int) -> LayerWeights[Dense]:
        """One layer in float32.

        Raises:
            UnsupportedModel: A tensor holds NaN or an infinity.
            TruncatedSource: The file ends before the tensor does.
        """
        names = self._spec.names

        def norm(name: str | None) -> Array | None:
            return None if name is None else self._norm(name.format(index))

        def joined(parts: tuple[str, ...]) -> Array:
            arrays = [self._read(name.format(index)) for name in parts]
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

        return LayerWeights(
            attention_norm=self._norm(names.attention_norm.format(index)),
            qkv=Linear(Dense(joined(names.qkv)), joined(names.qkv_bias) if names.qkv_bias else None),
            query_norm=norm(names.query_norm),
            key_norm=norm(names.key_norm),
            output=Linear(Dense(joined((names.output,)))),
            after_attention=norm(names.after_attention),
            mlp_norm=self._norm(names.mlp_norm.format(index)),
            gate_up=Linear(Dense(joined(names.gate_up))),
            down=Linear(Dense(joined((names.down,)))),
            after_mlp=norm(names.after_mlp),
        )

    def embedding(self) -> Array:
        """The table ``[vocab, hidden]``."""
        return self._read(self._spec.names.embedding)

    def final_norm(self) -> Array:
        """Factors of the norm before the head."""
        return self._norm(self._spec.names.final_norm)

    def head(self) -> Array:
        """The head ``[vocab, hidden]`` of a model that has its own."""
        return self._read(self._spec.names.head)

    def _norm(self, name: str) -> Array:
        return self._read(name) + np.float32(self._spec.norm_offset)

    def _read(self, name: str) -> Array:
        array = self._checkpoint.read(name)
        flat = array.reshape(-1)
        if not all(np.isfinite(flat[start : start + _PIECE]).all() for start in range(0, flat.size, _PIECE)):
            raise UnsupportedModel(
                f"{self._checkpoint.location}: tensor {name} holds NaN or infinite values", "Get a sound checkpoint."
            )
        return array
