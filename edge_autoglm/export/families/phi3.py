"""Phi-3: Llama with joined projections and a sliding window (Abdin et al. 2024)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, layer_count, window_size
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import Attention, DecoderSpec, TensorNames

ARCHITECTURES = ("Phi3ForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Phi-3 checkpoint."""
    config.require("attention_bias", (False,), "Use a checkpoint without attention biases.")
    layer = Attention(read_rope(config, head_dim(config), partial=1.0), window_size(config, None))
    return decoder(
        config,
        "phi3",
        attention=(layer,) * layer_count(config),
        names=TensorNames(
            qkv=("model.layers.{}.self_attn.qkv_proj.weight",), gate_up=("model.layers.{}.mlp.gate_up_proj.weight",)
        ),
    )
