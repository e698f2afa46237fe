"""The ``config.json`` of a model, from the metadata of a GGUF file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.sources.gguf_architectures import ARCHITECTURES, Architecture
from edge_autoglm.export.sources.gguf_fields import GGUFFields

ROPE_FACTORS = "rope_freqs.weight"
"""Tensor of the numbers that rotary frequencies are divided by (Llama 3.1 and later)."""
_LONG_ROPE = ("rope_factors_long.weight", "rope_factors_short.weight")


def architecture_of(metadata: Mapping[str, Any], tensors: Collection[str], location: str) -> Architecture:
    """Find how the file is read, and check that it is a whole dense model.

    Args:
        metadata: Of the GGUF file.
        tensors: Their names in the file.
        location: The file, for messages.

    Raises:
        UnsupportedModel: It is another architecture, a part of a model, a mixture of experts, or scales its rotations
            by the length of the prompt.
        NotAModel: It holds no weights.
    """
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise UnsupportedModel(
            f"{location} holds the architecture {str(name)[:40]!r}; of GGUF files, {', '.join(ARCHITECTURES)} are read",
            "Give a model of one of these, or the model's Hugging Face folder.",
        )
    parts, experts = metadata.get("split.count", 1), metadata.get(f"{name}.expert_count", 0)
    if not isinstance(parts, int) or parts != 1:
        raise UnsupportedModel(
            f"{location} is one of {str(parts)[:40]} parts", "Join them with llama-gguf-split --merge."
        )
    if not isinstance(experts, int) or experts != 0:
        raise UnsupportedModel(f"{location} is a mixture of experts", "Give a dense model.")
    for tensor in _LONG_ROPE:
        if tensor in tensors:
            raise UnsupportedModel(
                f"{location} changes its rotary frequencies with the length of the prompt (tensor {tensor})",
                "Give the variant of the model with the short context.",
            )
    if "token_embd.weight" not in tensors:
        raise NotAModel(f"{location} holds no weights (no tensor token_embd.weight)", "Give a file with weights.")
    return ARCHITECTURES[name]


def model_config(
    metadata: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    rope_factors: Sequence[float] | None,
    location: str,
) -> dict[str, Any]:
    """Translate the metadata.

    Args:
        metadata: Of a file that `architecture_of` accepts.
        shapes: Of its tensors, by their Hugging Face names.
        rope_factors: What its rotary frequencies are divided by, ``[head_dim / 2]``.
        location: The file, for messages.

    Raises:
        NotAModel: A field is missing, of another type, or contradicts the tensors.
        UnsupportedModel: Heads are rotated in part, or values have another size than keys.
    """
    architecture = ARCHITECTURES[metadata["general.architecture"]]
    fields = GGUFFields(metadata, metadata["general.architecture"], location)
    hidden, heads = fields.integer("embedding_length"), fields.integer("attention.head_count")
    head_dim = fields.integer("attention.key_length", hidden // heads)
    config = {
        "architectures": [architecture.hf_class],
        "model_type": architecture.model_type,
        "hidden_size": hidden,
        "intermediate_size": fields.integer("feed_forward_length"),
        "num_hidden_layers": _layers(fields, shapes),
        "num_attention_heads": heads,
        "num_key_value_heads": fields.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": fields.integer("context_length"),
        "vocab_size": shapes["model.embed_tokens.weight"][0],
        "tie_word_embeddings": "lm_head.weight" not in shapes,
        "rope_theta": fields.number("rope.freq_base", 10000.0),
        "rope_scaling": _rope_scaling(fields),
    }
    config |= _rotated_part(architecture, fields, head_dim) | architecture.extra(fields, config)
    if rope_factors is not None:
        config |= _explicit_rope(fields, config, rope_factors)
    if architecture.states_biases:
        config["attention_bias"] = "model.layers.0.self_attn.q_proj.bias" in shapes
        config["mlp_bias"] = "model.layers.0.mlp.gate_proj.bias" in shapes
    return config


def _layers(fields: GGUFFields, shapes: Collection[str]) -> int:
    stated = fields.integer("block_count")
    present = len({name.split(".")[2] for name in shapes if name.startswith("model.layers.")})
    if stated != present:
        raise fields.wrong("block_count", f"{present}, the number of layers in the file", stated)
    return stated


def _rotated_part(architecture: Architecture, fields: GGUFFields, head_dim: int) -> dict[str, Any]:
    rotated = fields.integer("rope.dimension_count", head_dim)
    if fields.integer("attention.value_length", head_dim) != head_dim:
        raise fields.unsupported(
            "attention.value_length",
            f"is {fields.integer('attention.value_length')}, but a head has {head_dim} dimensions",
            "Give a model whose keys and values are of one size.",
        )
    if rotated == head_dim:
        return {}
    if not architecture.rotates_partially or rotated > head_dim:
        raise fields.unsupported(
            "rope.dimension_count",
            f"is {rotated}, but a head has {head_dim} dimensions",
            "Give a model that rotates whole heads.",
        )
    return {"partial_rotary_factor": rotated / head_dim}


def _rope_scaling(fields: GGUFFields) -> dict[str, Any] | None:
    kind = fields.text("rope.scaling.type", "none")
    if kind == "none":
        return None
    scaling: dict[str, Any] = {"rope_type": kind, "factor": fields.number("rope.scaling.factor")}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = fields.integer("rope.scaling.original_context_length")
    return scaling


def _explicit_rope(fields: GGUFFields, config: Mapping[str, Any], factors: Sequence[float]) -> dict[str, Any]:
    """Inverse frequency ``i`` is ``rope_theta ** (-2 i / head_dim) / factors[i]``.

    The converter stores what Llama 3's scaling comes to, not its parameters.
    """
    if config["rope_scaling"] is not None:
        raise fields.unsupported(
            "rope.scaling.type", f"is there beside the tensor {ROPE_FACTORS}", "Give a model that scales in one way."
        )
    return {
        "rope_parameters": {
            "rope_type": "explicit",
            "rope_theta": config["rope_theta"],
            "frequency_factors": list(factors),
        }
    }
