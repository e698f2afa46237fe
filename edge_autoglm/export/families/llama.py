"""Llama and what shares its layout (SmolLM2, TinyLlama): Touvron et al. 2023."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.spec import DecoderSpec, Rope

ARCHITECTURES = ("LlamaForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Llama checkpoint."""
    config.require("hidden_act", ("silu",), "Use a checkpoint with SiLU activations.")
    config.require("attention_bias", (False,), "Use a checkpoint without attention biases.")
    config.require("mlp_bias", (False,), "Use a checkpoint without MLP biases.")
    heads = config.integer("num_attention_heads")
    head_dim = config.integer("head_dim", config.integer("hidden_size") // heads)
    kv_heads = config.integer("num_key_value_heads", heads)
    if heads % kv_heads:
        raise config.complaint("num_key_value_heads", f"is {kv_heads}, no divisor of {heads}", "Fix config.json.")
    return DecoderSpec(
        family="llama",
        vocab_size=config.integer("vocab_size"),
        hidden_size=config.integer("hidden_size"),
        intermediate_size=config.integer("intermediate_size"),
        layers=config.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        norm_epsilon=config.number("rms_norm_eps", 1e-6),
        context_length=config.integer("max_position_embeddings", 2048),
        rope=Rope(theta=_rope_theta(config), dim=head_dim),
        tied_head=bool(config.get("tie_word_embeddings")),
    )


def _rope_theta(config: ConfigReader) -> float:
    # transformers 5 moved rope_theta and rope_scaling into one dictionary.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise config.complaint("rope_scaling", f"has type {kind!r}", "Use a checkpoint without rope scaling.")
    if "rope_theta" in rope:
        return ConfigReader(rope, "rope_parameters").number("rope_theta")
    return config.number("rope_theta", 10000.0)
