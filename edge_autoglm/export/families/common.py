"""What most families share: the fields of a Llama-like ``config.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_autoglm.export.config_reader import ConfigReader
from edge_autoglm.export.families.rope import read_rope
from edge_autoglm.export.spec import Attention, DecoderSpec

_SLIDING, _FULL = "sliding_attention", "full_attention"
_HEAD_STEP = 8
_MOST_LAYERS = 10_000
_MOST_POSITIONS = 10_000_000
"""No model comes near; a file that says more is damaged, and would cost its reader all of the memory."""


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
        differences["attention"] = (Attention(rope),) * layer_count(config)
    fields: dict[str, Any] = {
        "family": family,
        "vocab_size": config.integer("vocab_size"),
        "hidden_size": config.integer("hidden_size"),
        "intermediate_size": config.integer("intermediate_size"),
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim(config),
        "norm_epsilon": config.number("rms_norm_eps", below=1.0),
        "context_length": config.integer("max_position_embeddings", highest=_MOST_POSITIONS),
        "tied_head": config.flag("tie_word_embeddings"),
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
    if dim % _HEAD_STEP:
        raise config.complaint(
            "head_dim" if "head_dim" in config else "num_attention_heads",
            f"gives heads of {dim} channels, and ONNX Runtime's attention takes multiples of {_HEAD_STEP}",
            "Export the model through Optimum (via='optimum', --via optimum).",
        )
    return dim


def layer_count(config: ConfigReader) -> int:
    """Number of decoder layers."""
    return config.integer("num_hidden_layers", highest=_MOST_LAYERS)


def window_size(config: ConfigReader, default: int | None) -> int | None:
    """The attention window that the configuration states.

    Args:
        config: Of the checkpoint.
        default: Of the family, where the configuration is silent; null means that there is no window.
    """
    if not config.states("sliding_window"):
        return default
    return config.integer("sliding_window") if "sliding_window" in config else None


def sliding(config: ConfigReader, by_default: Sequence[bool]) -> list[bool]:
    """Which layers attend to a window only.

    Args:
        config: Of the checkpoint.
        by_default: Where the configuration has no ``layer_types``; one a layer.
    """
    kinds = config.texts("layer_types", len(by_default))
    if kinds is None:
        return list(by_default)
    for kind in kinds:
        if kind not in (_SLIDING, _FULL):
            raise config.complaint("layer_types", f"names {kind!r}", f"Use a checkpoint of {_SLIDING} and {_FULL}.")
    return [kind == _SLIDING for kind in kinds]
