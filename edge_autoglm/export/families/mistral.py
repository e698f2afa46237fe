"""Mistral: Llama with sliding-window attention (Jiang et al. 2023)."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder, head_dim, sliding_layers
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import DecoderSpec

ARCHITECTURES = ("MistralForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Mistral checkpoint."""
    slides = [True] * config.integer("num_hidden_layers")
    return decoder(config, "mistral", attention=sliding_layers(config, read_rope(config, head_dim(config)), slides))
