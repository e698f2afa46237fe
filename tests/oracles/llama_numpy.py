"""Llama in plain NumPy, float64, one token sequence, no cache: slow and obviously right.

Follows ``LlamaForCausalLM`` of transformers (RMSNorm: Zhang and Sennrich 2019; rotary embedding, rotate-half form: Su
et al. 2021; grouped-query attention: Ainslie et al. 2023). Shares no code with the exporter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.checkpoint import Checkpoint

Array = npt.NDArray[np.float64]


def logits(checkpoint: Checkpoint, token_ids: list[int]) -> Array:
    """Logits ``[len(token_ids), vocab]`` of the token after each position."""
    config = checkpoint.config
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    n = len(token_ids)

    def weight(name: str) -> Array:
        return checkpoint.read(f"{name}.weight").astype(np.float64)

    def linear(x: Array, name: str) -> Array:
        y = x @ weight(name).T
        return y + checkpoint.read(f"{name}.bias") if f"{name}.bias" in checkpoint.names() else y

    def norm(x: Array, name: str) -> Array:
        scale: Array = np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"])
        return weight(name) * x / scale

    def split_heads(x: Array, count: int) -> Array:
        return x.reshape(n, count, head_dim).swapaxes(0, 1)

    inverse_frequencies = config["rope_theta"] ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.concatenate([np.outer(np.arange(n), inverse_frequencies)] * 2, axis=-1)
    causal = np.triu(np.full((n, n), -np.inf), 1)
    x = weight("model.embed_tokens")[token_ids]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        h = norm(x, f"{layer}.input_layernorm")
        q = _rotate(split_heads(linear(h, f"{layer}.self_attn.q_proj"), heads), angles)
        k = _rotate(split_heads(linear(h, f"{layer}.self_attn.k_proj"), kv_heads), angles)
        v = split_heads(linear(h, f"{layer}.self_attn.v_proj"), kv_heads)
        k, v = (np.repeat(each, heads // kv_heads, axis=0) for each in (k, v))
        attention = _softmax(q @ k.swapaxes(1, 2) / np.sqrt(head_dim) + causal) @ v
        x = x + linear(attention.swapaxes(0, 1).reshape(n, heads * head_dim), f"{layer}.self_attn.o_proj")
        h = norm(x, f"{layer}.post_attention_layernorm")
        gate = linear(h, f"{layer}.mlp.gate_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj")
    head = "lm_head" if "lm_head.weight" in checkpoint.names() else "model.embed_tokens"
    return linear(norm(x, "model.norm"), head)


def _rotate(x: Array, angles: Array) -> Array:
    """Rotary embedding of ``[heads, n, head_dim]``: dimension j turns with dimension j + head_dim / 2."""
    low, high = np.split(x, 2, axis=-1)
    turned: Array = x * np.cos(angles) + np.concatenate([-high, low], axis=-1) * np.sin(angles)
    return turned


def _softmax(x: Array) -> Array:
    exponentials: Array = np.exp(x - x.max(-1, keepdims=True))
    total: Array = exponentials.sum(-1, keepdims=True)
    return exponentials / total
