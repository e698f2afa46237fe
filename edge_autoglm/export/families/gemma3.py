"""Gemma 3, the text model: sandwich norms stored as differences from 1, five sliding layers to a full one.

Gemma Team 2025. The full layers rotate by a longer base than the sliding ones.
"""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, layer_count, sliding, window_size
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import Attention, DecoderSpec, Rope, TensorNames

ARCHITECTURES = ("Gemma3ForCausalLM",)

_FULL_BASE, _LOCAL_BASE = 1e6, 1e4
_PREFIX = "model.layers.{}."


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Gemma 3 text checkpoint."""
    config.require("hidden_activation", ("gelu_pytorch_tanh",), "Use a checkpoint with tanh-approximated GELU.")
    config.require("attention_bias", (False,), "Use a checkpoint without attention biases.")
    config.require("use_bidirectional_attention", (False,), "Use a causal checkpoint.")
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        config.require(cap, (), "Use a checkpoint without soft caps.")
    scale = config.number("query_pre_attn_scalar", 256) ** -0.5
    return decoder(
        config,
        "gemma3",
        attention=_layers(config),
        activation="gelu_tanh",
        norm_offset=1.0,
        embedding_scale=config.integer("hidden_size") ** 0.5,
        attention_scale=scale,
        tied_head=config.flag("tie_word_embeddings", default=True),
        names=TensorNames(
            query_norm=_PREFIX + "self_attn.q_norm.weight",
            key_norm=_PREFIX + "self_attn.k_norm.weight",
            after_attention=_PREFIX + "post_attention_layernorm.weight",
            mlp_norm=_PREFIX + "pre_feedforward_layernorm.weight",
            after_mlp=_PREFIX + "post_feedforward_layernorm.weight",
        ),
    )


def _layers(config: ConfigReader) -> tuple[Attention, ...]:
    pattern, window = config.integer("sliding_window_pattern", 6), window_size(config, 4096)
    slides = sliding(config, [(layer + 1) % pattern != 0 for layer in range(layer_count(config))])
    full, local = _ropes(config)
    return tuple(Attention(local, window) if slide else Attention(full) for slide in slides)


def _ropes(config: ConfigReader) -> tuple[Rope, Rope]:
    """Of the full layers and of the sliding ones, which no scaling applies to in the older spelling."""
    dim = head_dim(config)
    if "full_attention" in config.section("rope_parameters"):
        full = read_rope(config, dim, layer_type="full_attention", base=_FULL_BASE)
        return full, read_rope(config, dim, layer_type="sliding_attention", base=_LOCAL_BASE)
    local = {"rope_theta": config.get("rope_local_base_freq")}
    return read_rope(config, dim, base=_FULL_BASE), read_rope(
        ConfigReader(local, config.location), dim, base=_LOCAL_BASE
    )
