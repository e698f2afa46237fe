"""The architectures that are read from GGUF files: one table each of names and of what the converter did to weights.

Names of tensors and fields are those of ``gguf.TensorNameMap`` and ``gguf.Keys``; what becomes of the weights is in
llama.cpp's ``convert_hf_to_gguf.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_autoglm.export.sources.gguf_fields import GGUFFields

_GEMMA3_27B_LAYERS = 62
_GEMMA3_PATTERN = 6
"""Every sixth layer attends to everything; llama.cpp has it in its code."""

_LLAMA_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}

Config = dict[str, Any]


def _nothing(_: GGUFFields, __: Config) -> Config:
    return {}


@dataclass(frozen=True, slots=True)
class Architecture:
    """How one architecture of llama.cpp reads as its Hugging Face counterpart.

    Attributes:
        hf_class: Entry of ``architectures`` in ``config.json``.
        model_type: Likewise.
        layer_names: Part of a layer in GGUF -> its Hugging Face name.
        rows_permuted: Whether the rows of query and key projections are reordered for llama.cpp's way of rotating.
        norm_offset: What the converter added to the weights of norms.
        rotates_partially: Whether ``rope.dimension_count`` may be less than a head.
        states_biases: Whether ``config.json`` says if projections have biases.
        extra: Further fields of ``config.json``, from the metadata and the common fields, some of which it overrides.
    """

    hf_class: str
    model_type: str
    layer_names: Mapping[str, str] = field(default_factory=lambda: _LLAMA_LAYER)
    rows_permuted: bool = False
    norm_offset: float = 0.0
    rotates_partially: bool = False
    states_biases: bool = False
    extra: Callable[[GGUFFields, Config], Config] = _nothing


def _gemma3(fields: GGUFFields, config: Config) -> Config:
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    # The 27B model divides by the width shared out among the heads, the others by the size of a head.
    scalar = config["hidden_size"] // heads if layers == _GEMMA3_27B_LAYERS else config["head_dim"]
    full = [(layer + 1) % _GEMMA3_PATTERN == 0 for layer in range(layers)]
    cap = "final_logit_softcapping"
    return {
        "hidden_act": None,
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "query_pre_attn_scalar": scalar,
        "sliding_window": fields.integer("attention.sliding_window"),
        "sliding_window_pattern": _GEMMA3_PATTERN,
        "layer_types": ["full_attention" if is_full else "sliding_attention" for is_full in full],
        "rope_theta": fields.number("rope.freq_base", 1e6),
        "rope_local_base_freq": fields.number("rope.freq_base_swa", 10000.0),
        cap: fields.number(cap) if cap in fields else None,
    }


def _phi3(fields: GGUFFields, config: Config) -> Config:
    window = fields.integer("attention.sliding_window", 0, minimum=0)
    slides = 0 < window < config["max_position_embeddings"]
    return {"attention_bias": False, "sliding_window": window if slides else None}


ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture("LlamaForCausalLM", "llama", rows_permuted=True, states_biases=True),
    "qwen2": Architecture("Qwen2ForCausalLM", "qwen2", extra=lambda _, __: {"use_sliding_window": False}),
    "qwen3": Architecture(
        "Qwen3ForCausalLM",
        "qwen3",
        layer_names=_LLAMA_LAYER | _HEAD_NORMS,
        states_biases=True,
        extra=lambda _, __: {"use_sliding_window": False},
    ),
    "gemma3": Architecture(
        "Gemma3ForCausalLM",
        "gemma3_text",
        layer_names=_LLAMA_LAYER
        | _HEAD_NORMS
        | {
            "post_attention_norm": "post_attention_layernorm",
            "ffn_norm": "pre_feedforward_layernorm",
            "post_ffw_norm": "post_feedforward_layernorm",
        },
        norm_offset=1.0,
        extra=_gemma3,
    ),
    "phi3": Architecture(
        "Phi3ForCausalLM",
        "phi3",
        layer_names={
            "attn_norm": "input_layernorm",
            "attn_qkv": "self_attn.qkv_proj",
            "attn_output": "self_attn.o_proj",
            "ffn_norm": "post_attention_layernorm",
            "ffn_up": "mlp.gate_up_proj",
            "ffn_down": "mlp.down_proj",
        },
        rotates_partially=True,
        extra=_phi3,
    ),
}
"""``general.architecture`` -> how it is read."""
