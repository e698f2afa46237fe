"""Mistral: Llama with sliding-window attention (Jiang et al. 2023)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, layer_count, window_size
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import Attention, DecoderSpec

ARCHITECTURES = ("MistralForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Mistral checkpoint."""
    layer = Attention(read_rope(config, head_dim(config)), window_size(config, 4096))
    return decoder(config, "mistral", attention=(layer,) * layer_count(config))
