"""GLM (GLM-4-9b-hf, GLM-Edge): neighbouring channels rotated in half of a head, gate and up in one tensor."""

from __future__ import annotations

from typing import Any

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, layer_count
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import QKV_BIAS, Attention, DecoderSpec, TensorNames

ARCHITECTURES = ("GlmForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a GLM checkpoint."""
    return glm_decoder(config, "glm")


def glm_decoder(config: ConfigReader, family: str, **names: Any) -> DecoderSpec:
    """What GLM and GLM-4 share; ``names`` are the fields of `TensorNames` in which they differ."""
    rope = read_rope(config, head_dim(config), interleaved=True, partial=0.5)
    biased = config.flag("attention_bias", default=True)
    return decoder(
        config,
        family,
        attention=(Attention(rope),) * layer_count(config),
        names=TensorNames(
            gate_up=("model.layers.{}.mlp.gate_up_proj.weight",), qkv_bias=QKV_BIAS if biased else (), **names
        ),
    )
