"""Qwen3: Llama with a norm on each head's query and key (Yang et al. 2025)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder
from edge_autoglm.export.families.qwen2 import attention
from edge_autoglm.export.spec import DecoderSpec, TensorNames

ARCHITECTURES = ("Qwen3ForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a dense Qwen3 checkpoint."""
    config.require("attention_bias", (False,), "Use a checkpoint without attention biases.")
    names = TensorNames(
        query_norm="model.layers.{}.self_attn.q_norm.weight", key_norm="model.layers.{}.self_attn.k_norm.weight"
    )
    return decoder(config, "qwen3", attention=attention(config), names=names)
