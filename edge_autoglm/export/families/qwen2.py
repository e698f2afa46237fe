"""Qwen2 and Qwen2.5: Llama with biases on query, key and value (Yang et al. 2024)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, layer_count, sliding, window_size
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import QKV_BIAS, Attention, DecoderSpec, TensorNames

ARCHITECTURES = ("Qwen2ForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Qwen2 checkpoint."""
    return decoder(config, "qwen2", attention=attention(config), names=TensorNames(qkv_bias=QKV_BIAS))


def attention(config: ConfigReader) -> tuple[Attention, ...]:
    """The layers of Qwen2 and Qwen3: a window is used only where it is switched on, and only by the upper layers."""
    rope, layers = read_rope(config, head_dim(config)), layer_count(config)
    window = window_size(config, 4096) if config.flag("use_sliding_window") else None
    first = config.integer("max_window_layers", 28, lowest=0)
    slides = sliding(config, [layer >= first for layer in range(layers)])
    return tuple(Attention(rope, window if slide else None) for slide in slides)
