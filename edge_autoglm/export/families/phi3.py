"""Phi-3: Llama with joined projections and a sliding window (Abdin et al. 2024)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, sliding_layers
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import DecoderSpec, TensorNames

ARCHITECTURES = ("Phi3ForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Phi-3 checkpoint."""
    config.require("attention_bias", (False,), "Use a checkpoint without attention biases.")
    slides = [True] * config.integer("num_hidden_layers")
    return decoder(
        config,
        "phi3",
        attention=sliding_layers(config, read_rope(config, head_dim(config)), slides),
        names=TensorNames(
            qkv=("model.layers.{}.self_attn.qkv_proj.weight",), gate_up=("model.layers.{}.mlp.gate_up_proj.weight",)
        ),
    )
