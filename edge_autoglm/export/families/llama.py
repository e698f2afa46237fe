"""Llama 2 and 3 and what shares their layout (SmolLM2, TinyLlama): Touvron et al. 2023, Grattafiori et al. 2024."""

from __future__ import annotations

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.common import decoder
from edge_autoglm.export.spec import DecoderSpec

ARCHITECTURES = ("LlamaForCausalLM",)


def describe(config: ConfigReader) -> DecoderSpec:
    """Describe a Llama checkpoint."""
    config.require("attention_bias", (False,), "Use a checkpoint without attention biases.")
    return decoder(config, "llama")
