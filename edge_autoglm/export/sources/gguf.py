"""Llama-family checkpoints in GGUF files, presented under their Hugging Face names."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import MissingDependency, NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.gguf_config import check_family, llama_config
from edge_autoglm.export.sources.gguf_header import TensorEntry, read_header
from edge_autoglm.export.sources.gguf_tokenizer import tokenizer_files
from edge_autoglm.export.sources.spans import check_size, read_span

_GLOBAL_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER_NAMES = {
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
_ROTATED = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
"""Projections whose rows llama.cpp reorders -> config field with their number of heads."""
_LAYER_TENSOR = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_DAMAGED = "The file is damaged; download or convert it again."


class GGUFCheckpoint:
    """A Llama-family model in one GGUF file. Implements ``Checkpoint``.

    Args:
        path: The file. Its header is read and the place of every tensor is checked; weights stay on disk.

    Raises:
        SourceError: The file is not GGUF, damaged, truncated or of another family.
        MissingDependency: The ``gguf`` package is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header = read_header(path)
        check_family(self._header.metadata, self._header.tensors, self.location)
        self._gguf = _import_gguf()
        self._tensors = {_hf_name(path, name): entry for name, entry in self._header.tensors.items()}
        end, last = max(
            (entry.offset + math.prod(self._stored_shape(entry)), name) for name, entry in self._tensors.items()
        )
        check_size(path, last, end)
        shapes = {name: entry.shape for name, entry in self._tensors.items()}
        self._config = llama_config(self._header.metadata, shapes, self.location)

    @property
    def location(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def config(self) -> dict[str, Any]:
        """The metadata, translated to the keys of a Llama ``config.json``."""
        return dict(self._config)

    def names(self) -> Collection[str]:
        """Hugging Face names of all tensors."""
        return self._tensors.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape without reading the data."""
        return self._entry(name).shape

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor, dequantised to float32, rows of query and key projections in Hugging Face order."""
        entry = self._entry(name)
        stored = self._stored_shape(entry)
        raw = read_span(self._path, name, entry.offset, math.prod(stored)).reshape(stored)
        kind = self._gguf.GGMLQuantizationType(entry.ggml_type)
        try:
            values = self._gguf.quants.dequantize(raw, kind).reshape(entry.shape).astype(np.float32, copy=False)
        except NotImplementedError as error:
            raise self._unknown_type(entry) from error
        heads_field = _ROTATED.get(name.split(".")[-2])
        return values if heads_field is None else self._in_hf_order(values, name, self._config[heads_field])

    def tokenizer(self) -> TokenizerFiles:
        """The tokenizer, rebuilt from the metadata."""
        return tokenizer_files(self._header.metadata, self.location)

    def close(self) -> None:
        """Nothing to let go of: no file is kept open between reads."""

    def _entry(self, name: str) -> TensorEntry:
        if name not in self._tensors:
            raise UnsupportedModel(f"{self._path} has no tensor for {name!r}", "Give a complete Llama-family model.")
        return self._tensors[name]

    def _stored_shape(self, entry: TensorEntry) -> tuple[int, ...]:
        """Shape of the tensor as bytes on disk: rows are cut into blocks of values."""
        try:
            block, block_bytes = self._gguf.GGML_QUANT_SIZES[self._gguf.GGMLQuantizationType(entry.ggml_type)]
        except (ValueError, KeyError) as error:
            raise self._unknown_type(entry) from error
        if entry.shape[-1] % block:
            raise NotAModel(
                f"{self._path}: rows of tensor {entry.name!r} have {entry.shape[-1]} values, no multiple of {block}",
                _DAMAGED,
            )
        return (*entry.shape[:-1], entry.shape[-1] // block * block_bytes)

    def _in_hf_order(self, values: npt.NDArray[np.float32], name: str, heads: int) -> npt.NDArray[np.float32]:
        """Undo the reordering of rows in a query or key projection.

        llama.cpp rotates neighbouring pairs, Hugging Face the two halves of a head, so the converter interleaves the
        halves (``LlamaModel.permute`` in llama.cpp's ``conversion/llama.py``): row ``2 j + half`` of a head was row
        ``half * head_dim / 2 + j``.
        """
        rows = heads * int(self._config["head_dim"])
        if values.shape[0] != rows:
            raise NotAModel(f"{self._path}: tensor {name!r} has {values.shape[0]} rows instead of {rows}", _DAMAGED)
        pairs = values.reshape(heads, -1, 2, *values.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)

    def _unknown_type(self, entry: TensorEntry) -> UnsupportedModel:
        return UnsupportedModel(
            f"{self._path}: tensor {entry.name!r} is of ggml type {entry.ggml_type}, which is not dequantised here",
            "Give the model as F16, BF16, Q8_0 or another common quantisation.",
        )


def _import_gguf() -> ModuleType:
    try:
        import gguf
        import gguf.quants
    except ImportError as error:
        raise MissingDependency(
            "reading GGUF files needs the package 'gguf'", 'Install it: pip install "edge-autoglm[export]".'
        ) from error
    return gguf


def _hf_name(path: Path, name: str) -> str:
    layer = _LAYER_TENSOR.fullmatch(name)
    if layer and layer[2] in _LAYER_NAMES:
        return f"model.layers.{layer[1]}.{_LAYER_NAMES[layer[2]]}.{layer[3]}"
    stem, _, suffix = name.rpartition(".")
    if stem in _GLOBAL_NAMES and suffix == "weight":
        return f"{_GLOBAL_NAMES[stem]}.weight"
    raise UnsupportedModel(f"{path} has the tensor {name!r}, which no Llama model has", "Give a Llama-family model.")
