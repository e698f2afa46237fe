"""GLM-4-0414: GLM with a second norm behind attention and MLP (sandwich norms)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.glm import glm_decoder
from edge_autoglm.export.spec import DecoderSpec

ARCHITECTURES = ("Glm4ForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a GLM-4 checkpoint."""
    return glm_decoder(
        config,
        "glm4",
        after_attention="model.layers.{}.post_self_attn_layernorm.weight",
        after_mlp="model.layers.{}.post_mlp_layernorm.weight",
    )
