"""GGUF files in miniature, written with the ``gguf`` package: an independent writer for our reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import gguf.quants
import numpy as np
import numpy.typing as npt

from edge_autoglm.export.checkpoint import Checkpoint
from tests.checkpoints import CHAT_TEMPLATE, SPECIAL_TOKENS, tiny_tokenizer_json

NORMAL, CONTROL = 1, 3
_PARTS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tiny_metadata() -> dict[str, Any]:
    """Metadata of the model that ``tests.checkpoints.write_tiny_llama`` writes."""
    tokenizer = json.loads(tiny_tokenizer_json())["model"]
    texts = sorted(tokenizer["vocab"], key=tokenizer["vocab"].get)
    return {
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 96,
        "llama.block_count": 2,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.context_length": 512,
        "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": [CONTROL if text in SPECIAL_TOKENS else NORMAL for text in texts],
        "tokenizer.ggml.merges": tokenizer["merges"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def write_gguf(
    path: Path,
    metadata: Mapping[str, Any],
    tensors: Mapping[str, npt.NDArray[Any]],
    kind: str = "F32",
    architecture: str = "llama",
) -> Path:
    """Write a GGUF file; matrices get the ggml type ``kind`` (bytes are of it already), vectors stay float32."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        _add(writer, key, value)
    for name, array in tensors.items():
        quantisation = gguf.GGMLQuantizationType["F32" if array.ndim == 1 else kind]
        stored = array if array.dtype == np.uint8 else gguf.quants.quantize(array, quantisation)
        writer.add_tensor(name, stored, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_cpp_tensors(checkpoint: Checkpoint) -> dict[str, npt.NDArray[np.float32]]:
    """Tensors of a Hugging Face checkpoint as llama.cpp's converter names and orders them."""
    heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
    tensors = {}
    for name in checkpoint.names():
        stem = name.removesuffix(".weight")
        prefix = ""
        if stem.startswith("model.layers."):
            layer, _, stem = stem.removeprefix("model.layers.").partition(".")
            prefix = f"blk.{layer}."
        part = _PARTS[stem]
        values = checkpoint.read(name)
        tensors[f"{prefix}{part}.weight"] = permute(values, checkpoint.config[heads[part]]) if part in heads else values
    return tensors


def permute(weights: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows as llama.cpp wants them: of every head, row j of the first half, then row j of the second, for each j."""
    half = weights.shape[0] // heads // 2
    order = [head * 2 * half + side * half + j for head in range(heads) for j in range(half) for side in (0, 1)]
    return np.ascontiguousarray(weights[order])


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
