"""The ``config.json`` of a Llama model, from the metadata of a GGUF file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edge_autoglm.errors import NotAModel, UnsupportedModel

_FAMILY = "llama"
_CONVERT_AGAIN = "Convert the model again with a current llama.cpp."


class _Metadata:
    """Typed access to the fields of the family."""

    def __init__(self, metadata: Mapping[str, Any], location: str) -> None:
        self._metadata = metadata
        self._location = location

    def integer(self, key: str, default: int | None = None) -> int:
        value = self._metadata.get(f"{_FAMILY}.{key}", default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._complaint(key, value, "a positive integer")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._metadata.get(f"{_FAMILY}.{key}", default)
        if not isinstance(value, float) or not 0 < value < float("inf"):
            raise self._complaint(key, value, "a positive number")
        # The converter rounded config.json's number to float32: the shortest decimal that rounds there is that number.
        return float(str(np.float32(value)))

    def text(self, key: str, default: str) -> str:
        return str(self._metadata.get(f"{_FAMILY}.{key}", default))

    def _complaint(self, key: str, value: Any, expected: str) -> NotAModel:
        problem = "is missing" if value is None else f"is {str(value)[:40]}, not {expected}"
        return NotAModel(f"{self._location}: metadata field '{_FAMILY}.{key}' {problem}", _CONVERT_AGAIN)


def check_family(metadata: Mapping[str, Any], tensors: Collection[str], location: str) -> None:
    """Check that the file is a whole dense Llama model.

    Args:
        metadata: Of the GGUF file.
        tensors: Their names in the file.
        location: The file, for messages.

    Raises:
        UnsupportedModel: It is another family, a part of a model, a mixture of experts, or scales its rotations.
        NotAModel: It holds no weights.
    """
    family = metadata.get("general.architecture")
    if family != _FAMILY:
        raise UnsupportedModel(
            f"{location} holds the architecture {family!r}; of GGUF files, {_FAMILY!r} is read",
            "Give a Llama-family model.",
        )
    if metadata.get("split.count", 1) != 1:
        raise UnsupportedModel(
            f"{location} is one of {metadata['split.count']} parts", "Join them with llama-gguf-split --merge."
        )
    if metadata.get("llama.expert_count", 0) != 0:
        raise UnsupportedModel(f"{location} is a mixture of experts", "Give a dense Llama-family model.")
    if "rope_freqs.weight" in tensors:
        raise UnsupportedModel(
            f"{location} scales its rotary frequencies (tensor rope_freqs.weight, Llama 3.1 and later)",
            "Give a model without rotary scaling.",
        )
    if "token_embd.weight" not in tensors:
        raise NotAModel(f"{location} holds no weights (no tensor token_embd.weight)", "Give a file with weights.")


def llama_config(metadata: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], location: str) -> dict[str, Any]:
    """Translate the metadata.

    Args:
        metadata: Of the GGUF file.
        shapes: Of its tensors, by their Hugging Face names.
        location: The file, for messages.

    Raises:
        NotAModel: A field is missing or of another type.
        UnsupportedModel: Heads are rotated in part, or values have another size than keys.
    """
    fields = _Metadata(metadata, location)
    hidden, heads = fields.integer("embedding_length"), fields.integer("attention.head_count")
    head_dim = fields.integer("attention.key_length", hidden // heads)
    for key in ("rope.dimension_count", "attention.value_length"):
        if fields.integer(key, head_dim) != head_dim:
            raise UnsupportedModel(
                f"{location}: {_FAMILY}.{key} is {fields.integer(key)}, but a head has {head_dim} dimensions",
                "Give a model that rotates whole heads.",
            )
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": fields.integer("feed_forward_length"),
        "num_hidden_layers": fields.integer("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": fields.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": fields.number("rope.freq_base", 10000.0),
        "rope_scaling": _rope_scaling(fields),
        "max_position_embeddings": fields.integer("context_length"),
        "vocab_size": shapes["model.embed_tokens.weight"][0],
        "tie_word_embeddings": "lm_head.weight" not in shapes,
        "attention_bias": "model.layers.0.self_attn.q_proj.bias" in shapes,
        "mlp_bias": "model.layers.0.mlp.gate_proj.bias" in shapes,
    }


def _rope_scaling(fields: _Metadata) -> dict[str, Any] | None:
    kind = fields.text("rope.scaling.type", "none")
    return None if kind == "none" else {"rope_type": kind, "factor": fields.number("rope.scaling.factor")}
