"""Declarative description of a decoder: what a family file produces and the graph builder consumes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

QKV_BIAS = tuple(f"model.layers.{{}}.self_attn.{kind}_proj.bias" for kind in "qkv")
"""Names of query, key and value biases where a family has them."""


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding (Su et al. 2021)."""

    inverse_frequencies: tuple[float, ...]
    """Radians a position, one a rotated pair of channels; channels beyond the last pair pass through."""
    interleaved: bool = False
    """Pairs are neighbours (0, 1), (2, 3), ... and not the two halves of the rotated channels."""
    magnitude: float = 1.0
    """Factor of cosine and sine (the attention factor of some rope scalings)."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What may differ from layer to layer."""

    rope: Rope
    window: int | None = None
    """A token attends to itself and the ``window - 1`` before it; to everything before it where ``None``."""


@dataclass(frozen=True, slots=True)
class TensorNames:
    """Checkpoint names; ``{}`` stands for the layer number. ``None`` or empty: the family has no such tensor.

    A tuple of several names is joined along the output dimension; one name is a tensor that holds them joined already.
    """

    embedding: str = "model.embed_tokens.weight"
    attention_norm: str = "model.layers.{}.input_layernorm.weight"
    qkv: tuple[str, ...] = tuple(f"model.layers.{{}}.self_attn.{kind}_proj.weight" for kind in "qkv")
    qkv_bias: tuple[str, ...] = ()
    query_norm: str | None = None
    key_norm: str | None = None
    output: str = "model.layers.{}.self_attn.o_proj.weight"
    after_attention: str | None = None
    """Norm of the attention's result before it joins the residual stream (a sandwich norm)."""
    mlp_norm: str = "model.layers.{}.post_attention_layernorm.weight"
    gate_up: tuple[str, ...] = tuple(f"model.layers.{{}}.mlp.{kind}_proj.weight" for kind in ("gate", "up"))
    down: str = "model.layers.{}.mlp.down_proj.weight"
    after_mlp: str | None = None
    """Norm of the MLP's result before it joins the residual stream."""
    final_norm: str = "model.norm.weight"
    head: str = "lm_head.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSpec:
    """A pre-norm decoder with grouped-query attention and a gated MLP; the fields are what families differ in."""

    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_epsilon: float
    context_length: int
    attention: tuple[Attention, ...]
    """One a layer."""
    tied_head: bool
    """The head uses the embedding's weights."""
    activation: Literal["silu", "gelu_tanh"] = "silu"
    norm_offset: float = 0.0
    """Added to the stored weights of every norm (1 where a family stores the difference from 1)."""
    embedding_scale: float = 1.0
    attention_scale: float | None = None
    """Factor of the attention logits; ``head_dim ** -0.5`` where ``None``."""
    names: TensorNames = field(default_factory=TensorNames)

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return len(self.attention)

    @property
    def query_size(self) -> int:
        """Output features of the query projection."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Output features of the key projection, and of the value projection."""
        return self.kv_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that a checkpoint must have, with its ``[out, in]`` shape."""
        hidden, names = self.hidden_size, self.names
        shapes: dict[str, tuple[int, ...]] = {names.embedding: (self.vocab_size, hidden), names.final_norm: (hidden,)}
        if not self.tied_head:
            shapes[names.head] = (self.vocab_size, hidden)
        layer = self._layer_shapes()
        for index in range(self.layers):
            shapes.update({name.format(index): shape for name, shape in layer.items()})
        return shapes

    def _layer_shapes(self) -> dict[str, tuple[int, ...]]:
        hidden, inner, names = self.hidden_size, self.intermediate_size, self.names
        qkv = (self.query_size, self.kv_size, self.kv_size)
        norms = (names.attention_norm, names.after_attention, names.mlp_norm, names.after_mlp)
        return {
            **{name: (rows, hidden) for name, rows in _parts(names.qkv, qkv)},
            **{name: (rows,) for name, rows in _parts(names.qkv_bias, qkv)},
            **{name: (self.head_dim,) for name in (names.query_norm, names.key_norm) if name},
            names.output: (hidden, self.query_size),
            **{name: (rows, hidden) for name, rows in _parts(names.gate_up, (inner, inner))},
            names.down: (hidden, inner),
            **{name: (hidden,) for name in norms if name},
        }


def _parts(names: tuple[str, ...], rows: tuple[int, ...]) -> Iterable[tuple[str, int]]:
    """Names with their rows; one name for several parts holds all of their rows."""
    return zip(names, rows if len(names) == len(rows) else (sum(rows),), strict=True) if names else ()
