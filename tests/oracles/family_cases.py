"""Tiny models of every decoder family, in variants, as the configurations that transformers writes.

The names and shapes of their tensors are written down here once more, on purpose: a mistake in a family file must not
change the checkpoint that it is tested with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.checkpoints import write_safetensors

Config = dict[str, Any]
Tensors = dict[str, npt.NDArray[np.float32]]

VOCAB_SIZE = 96
_CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "glm": "GlmForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
}
_FUSED_MLP = ("glm", "glm4", "phi3")


def _case(model_type: str, *, rope: Config | None = None, **fields: Any) -> Config:
    rope = {"rope_type": "default", "rope_theta": 10000.0} | (rope or {})
    return {
        "architectures": [_CLASSES[model_type]],
        "model_type": model_type,
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 64,
        "intermediate_size": 112,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 256,
        "rms_norm_eps": 0.03,  # large, so that it matters to numbers of the size of 1
        "tie_word_embeddings": False,
        "rope_parameters": rope,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    } | fields


def _gemma3(full: Config, **fields: Any) -> Config:
    kinds = ["full_attention" if layer == 5 else "sliding_attention" for layer in range(7)]
    return _case("gemma3_text", num_hidden_layers=7, layer_types=kinds, query_pre_attn_scalar=24, **fields) | {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e6} | full,
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    }


_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_HALF = {"partial_rotary_factor": 0.5}
_UPPER_SLIDE = ["full_attention", "sliding_attention", "sliding_attention"]

CASES: dict[str, Config] = {
    "llama": _case("llama", tie_word_embeddings=True),
    "llama-llama3": _case("llama", head_dim=32, rope=_LLAMA3),
    "llama-linear": _case("llama", rope={"rope_type": "linear", "factor": 4.0}),
    "llama-head8": _case("llama", head_dim=8),
    "llama-ungrouped": _case("llama", num_key_value_heads=4),
    "mistral": _case("mistral", sliding_window=7),
    "mistral-unbounded": _case("mistral", sliding_window=None, tie_word_embeddings=True),
    "qwen2": _case("qwen2", use_sliding_window=False, tie_word_embeddings=True),
    "qwen2-window": _case(
        "qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=1, layer_types=_UPPER_SLIDE
    ),
    "qwen3": _case("qwen3", head_dim=24, tie_word_embeddings=True, rope={"rope_theta": 1e6}),
    "qwen3-window": _case(
        "qwen3", use_sliding_window=True, sliding_window=6, max_window_layers=1, layer_types=_UPPER_SLIDE
    ),
    "glm": _case("glm", attention_bias=True, rope=_HALF),
    "glm-head8": _case("glm", head_dim=8, attention_bias=True, rope=_HALF),
    "glm-head32": _case("glm", head_dim=32, attention_bias=False, rope=_HALF),
    "glm4": _case("glm4", attention_bias=False, rope=_HALF, tie_word_embeddings=True),
    "glm4-biased": _case("glm4", attention_bias=True, rope=_HALF),
    "phi3": _case("phi3", sliding_window=9, rope={"partial_rotary_factor": 1.0}),
    "phi3-partial": _case("phi3", sliding_window=None, rope=_HALF),
    "gemma3": _gemma3({}, head_dim=32, sliding_window=5, tie_word_embeddings=True),
    "gemma3-linear": _gemma3({"rope_type": "linear", "factor": 8.0}, sliding_window=5),
}


def old_spelling(config: Config) -> Config:
    """The same model as transformers 4 wrote it."""
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "layer_types", "dtype")}
    rope = config["rope_parameters"]
    if "full_attention" in rope:
        old["sliding_window_pattern"] = 6
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    scaling = dict(rope)
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in scaling:
            old[key] = scaling.pop(key)
    if scaling["rope_type"] == "linear" and config["model_type"] == "llama":  # of Gemma, transformers 5 misreads it
        scaling["type"] = scaling.pop("rope_type")
    return old | {"rope_scaling": scaling if len(scaling) > 1 else None}


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor of the checkpoint, in the order of its random numbers."""
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    result: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        result["lm_head.weight"] = (vocab, hidden)
    for layer in range(config["num_hidden_layers"]):
        parts = _attention_shapes(config) | _mlp_shapes(config) | _norm_shapes(config)
        result |= {f"model.layers.{layer}.{name}": shape for name, shape in parts.items()}
    return result


def _attention_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    hidden, dim, family = config["hidden_size"], config["head_dim"], config["model_type"]
    rows = [config[f"num_{kind}_heads"] * dim for kind in ("attention", "key_value", "key_value")]
    result: dict[str, tuple[int, ...]] = {"self_attn.o_proj.weight": (hidden, rows[0])}
    if family == "phi3":
        return result | {"self_attn.qkv_proj.weight": (sum(rows), hidden)}
    for kind, size in zip("qkv", rows, strict=True):
        result[f"self_attn.{kind}_proj.weight"] = (size, hidden)
        if family == "qwen2" or config.get("attention_bias"):
            result[f"self_attn.{kind}_proj.bias"] = (size,)
    if family in ("qwen3", "gemma3_text"):
        result |= {"self_attn.q_norm.weight": (dim,), "self_attn.k_norm.weight": (dim,)}
    return result


def _mlp_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    down: dict[str, tuple[int, ...]] = {"mlp.down_proj.weight": (hidden, inner)}
    if config["model_type"] in _FUSED_MLP:
        return down | {"mlp.gate_up_proj.weight": (2 * inner, hidden)}
    return down | {"mlp.gate_proj.weight": (inner, hidden), "mlp.up_proj.weight": (inner, hidden)}


def _norm_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    names = ["input_layernorm", "post_attention_layernorm"]
    if config["model_type"] == "glm4":
        names += ["post_self_attn_layernorm", "post_mlp_layernorm"]
    if config["model_type"] == "gemma3_text":
        names += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    return {f"{name}.weight": (config["hidden_size"],) for name in names}


def tensors(config: Config) -> Tensors:
    """Weights that make every part of the model matter; the same on every machine."""
    rng = np.random.RandomState(0)  # the generator whose numbers NumPy promises never to change
    result = {}
    for name, shape in shapes(config).items():
        values = rng.standard_normal(shape)
        if len(shape) == 2:
            values *= 1.5 / shape[1] ** 0.5
        elif name.endswith("bias") or config["model_type"] == "gemma3_text":  # Gemma's norms are differences from 1
            values *= 0.3
        else:
            values = 1 + 0.3 * values
        result[name] = values.astype(np.float32)
    return result


def write_case(folder: Path, config: Config) -> Path:
    """Write the checkpoint into the folder, which is made."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", tensors(config))
    return folder


def token_ids() -> list[list[int]]:
    """Three sequences of 40 tokens."""
    ids: list[list[int]] = np.random.RandomState(1).randint(0, VOCAB_SIZE, (3, 40)).tolist()
    return ids
