"""What most families share: the fields of a Llama-like ``config.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import Attention, DecoderSpec, Rope

_SLIDING, _FULL = "sliding_attention", "full_attention"


def decoder(config: ConfigReader, family: str, **differences: Any) -> DecoderSpec:
    """The description of a Llama-like decoder.

    Args:
        config: Of the checkpoint.
        family: Name for people and manifests.
        differences: Fields of `DecoderSpec` in which the family differs from Llama.

    Raises:
        UnsupportedModel: A field is missing, malformed, or outside of what is built.
    """
    config.require("mlp_bias", (False,), "Use a checkpoint without MLP biases.")
    if "activation" not in differences:
        config.require("hidden_act", ("silu",), "Use a checkpoint with SiLU activations.")
    heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", heads)
    if heads % kv_heads:
        raise config.complaint("num_key_value_heads", f"is {kv_heads}, no divisor of {heads}", "Fix config.json.")
    if "attention" not in differences:
        rope = read_rope(config, head_dim(config))
        differences["attention"] = (Attention(rope),) * config.integer("num_hidden_layers")
    fields: dict[str, Any] = {
        "family": family,
        "vocab_size": config.integer("vocab_size"),
        "hidden_size": config.integer("hidden_size"),
        "intermediate_size": config.integer("intermediate_size"),
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim(config),
        "norm_epsilon": config.number("rms_norm_eps", 1e-6),
        "context_length": config.integer("max_position_embeddings", 2048),
        "tied_head": bool(config.get("tie_word_embeddings")),
    }
    return DecoderSpec(**{**fields, **differences})


def head_dim(config: ConfigReader) -> int:
    """Channels of a head; stated, or the width shared out among the heads."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    if "head_dim" not in config and hidden % heads:
        raise config.complaint(
            "num_attention_heads", f"is {heads}, no divisor of hidden_size {hidden}", "Fix config.json."
        )
    dim = config.integer("head_dim", hidden // heads)
    if dim % 2:
        raise config.complaint("head_dim", f"is {dim}, an odd number", "Fix config.json.")
    return dim


def windows(config: ConfigReader, slides: Sequence[bool]) -> list[int | None]:
    """The attention window of each layer.

    Args:
        config: Of the checkpoint.
        slides: Which layers slide where the configuration gives a window and no ``layer_types``; one a layer.
    """
    if "sliding_window" not in config:
        return [None] * len(slides)
    window = config.integer("sliding_window")
    kinds = config.texts("layer_types", len(slides)) or [_SLIDING if slide else _FULL for slide in slides]
    for kind in kinds:
        if kind not in (_SLIDING, _FULL):
            raise config.complaint("layer_types", f"names {kind!r}", f"Use a checkpoint of {_SLIDING} and {_FULL}.")
    return [window if kind == _SLIDING else None for kind in kinds]


def sliding_layers(config: ConfigReader, rope: Rope, slides: Sequence[bool]) -> tuple[Attention, ...]:
    """One rope for all layers, with the windows that the configuration gives."""
    return tuple(Attention(rope, window) for window in windows(config, slides))
