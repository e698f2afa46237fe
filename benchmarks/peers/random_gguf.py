"""Random checkpoints as GGUF, so that llama.cpp and OpenVINO run the very weights that the other contestants run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from benchmarks.checkpoints import Array, Stored, as_bfloat16
from benchmarks.llama_cpp_peer import copy_metadata, write_out

_ARCHITECTURES = {"qwen2": gguf.MODEL_ARCH.QWEN2, "glm": gguf.MODEL_ARCH.CHATGLM}
"""Of ``model_type``; llama.cpp calls GLM-Edge ChatGLM."""


def write_random_gguf(config: Mapping[str, Any], tensors: Sequence[Stored], tokenizer: Path, path: Path) -> None:
    """Write a checkpoint in bfloat16, with norms and biases in float32 as llama.cpp wants them.

    Args:
        config: Of the checkpoint.
        tensors: Of it, as `checkpoints.random_tensors` makes them.
        tokenizer: A GGUF file whose tokenizer it gets.
        path: Of the file to write.
    """
    architecture = _ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    _add_shape(writer, config)
    copy_metadata(gguf.GGUFReader(tokenizer), writer, lambda name: name.startswith("tokenizer."))
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    for tensor in tensors:
        name = names.get_name(tensor.name, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"llama.cpp has no {tensor.name} in {gguf.MODEL_ARCH_NAMES[architecture]}")
        values = np.concatenate(list(tensor.pieces())).reshape(tensor.shape)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, _bfloat16_bytes(values), raw_dtype=gguf.GGMLQuantizationType.BF16)
    write_out(writer)


def _add_shape(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim", config["hidden_size"] // heads)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(int(head_dim * config.get("partial_rotary_factor", 1.0)))


def _bfloat16_bytes(values: Array) -> Any:
    """``[rows, 2 * columns]``: how the package takes types that NumPy does not know."""
    return as_bfloat16(values).view(np.uint8)
