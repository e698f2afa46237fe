"""Declarative description of a decoder: what a family file produces and the graph builder consumes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding (Su et al. 2021): frequencies ``theta ** (-2 i / dim)``."""

    theta: float
    dim: int
    """Rotated channels of a head, from its first; the rest pass through."""


@dataclass(frozen=True, slots=True)
class TensorNames:
    """Checkpoint names; ``{}`` stands for the layer number."""

    embedding: str = "model.embed_tokens.weight"
    attention_norm: str = "model.layers.{}.input_layernorm.weight"
    query: str = "model.layers.{}.self_attn.q_proj.weight"
    key: str = "model.layers.{}.self_attn.k_proj.weight"
    value: str = "model.layers.{}.self_attn.v_proj.weight"
    output: str = "model.layers.{}.self_attn.o_proj.weight"
    mlp_norm: str = "model.layers.{}.post_attention_layernorm.weight"
    gate: str = "model.layers.{}.mlp.gate_proj.weight"
    up: str = "model.layers.{}.mlp.up_proj.weight"
    down: str = "model.layers.{}.mlp.down_proj.weight"
    final_norm: str = "model.norm.weight"
    head: str = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """A pre-norm decoder with grouped-query attention and a gated SiLU MLP."""

    family: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_epsilon: float
    context_length: int
    rope: Rope
    tied_head: bool
    """The head uses the embedding's weights."""
    names: TensorNames = field(default_factory=TensorNames)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        attention = self.hidden_size * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        layer = attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tied_head else 2)
        return embeddings + self.layers * layer + self.hidden_size

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that a checkpoint must have, with its ``[out, in]`` shape."""
        hidden, inner, names = self.hidden_size, self.intermediate_size, self.names
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        layer = {
            names.attention_norm: (hidden,),
            names.query: (query, hidden),
            names.key: (key, hidden),
            names.value: (key, hidden),
            names.output: (hidden, query),
            names.mlp_norm: (hidden,),
            names.gate: (inner, hidden),
            names.up: (inner, hidden),
            names.down: (hidden, inner),
        }
        shapes: dict[str, tuple[int, ...]] = {names.embedding: (self.vocab_size, hidden), names.final_norm: (hidden,)}
        if not self.tied_head:
            shapes[names.head] = (self.vocab_size, hidden)
        for index in range(self.layers):
            shapes.update({name.format(index): shape for name, shape in layer.items()})
        return shapes
