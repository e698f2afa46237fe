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
from edge_autoglm.export.sources.gguf_header import GGUFHeader, TensorEntry, read_header
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
_LAYER_TENSOR = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_CONVERT_AGAIN = "Convert the model again with a current llama.cpp."


class GGUFCheckpoint:
    """A Llama-family model in one GGUF file. Implements ``Checkpoint``.

    Args:
        path: The file. Its header is read and every tensor's place is checked; weights stay on disk.

    Raises:
        SourceError: The file is not GGUF, damaged, truncated or of another family.
        MissingDependency: The ``gguf`` package is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gguf = _import_gguf()
        self._header = read_header(path)
        _check_family(path, self._header)
        self._tensors = {_hf_name(path, name): entry for name, entry in self._header.tensors.items()}
        self._check_size()
        self._config = _config(path, self._header, self._tensors)

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
        byte_shape, nbytes = self._byte_shape(entry)
        raw = read_span(self._path, entry.name, entry.offset, nbytes).reshape(byte_shape)
        kind = self._gguf.constants.GGMLQuantizationType(entry.ggml_type)
        try:
            values = self._gguf.quants.dequantize(raw, kind).reshape(entry.shape).astype(np.float32, copy=False)
        except NotImplementedError as error:
            raise self._unknown_type(entry, kind.name) from error
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(name.split(".")[-2])
        return values if heads is None else _undo_rope_permutation(values, self._config[heads])

    def tokenizer(self) -> TokenizerFiles:
        """The tokenizer, rebuilt from the metadata."""
        return tokenizer_files(self._header.metadata, self.location)

    def close(self) -> None:
        """Nothing to let go of: no file is kept open between reads."""

    def _check_size(self) -> None:
        spans = [(entry.offset + self._byte_shape(entry)[1], entry.name) for entry in self._tensors.values()]
        for end, name in sorted(spans, reverse=True)[:1]:
            check_size(self._path, name, end)

    def _entry(self, name: str) -> TensorEntry:
        if name not in self._tensors:
            raise UnsupportedModel(f"{self._path} has no tensor for {name!r}", "Give a complete Llama-family model.")
        return self._tensors[name]

    def _byte_shape(self, entry: TensorEntry) -> tuple[tuple[int, ...], int]:
        """Shape of the tensor as stored bytes, and their number."""
        constants = self._gguf.constants
        try:
            block, block_bytes = constants.GGML_QUANT_SIZES[constants.GGMLQuantizationType(entry.ggml_type)]
        except (ValueError, KeyError) as error:
            raise self._unknown_type(entry, str(entry.ggml_type)) from error
        if entry.shape[-1] % block:
            raise NotAModel(
                f"{self._path}: rows of tensor {entry.name!r} have {entry.shape[-1]} values, not a multiple of {block}",
                "The file is damaged; download or convert it again.",
            )
        shape = (*entry.shape[:-1], entry.shape[-1] // block * block_bytes)
        return shape, math.prod(shape)

    def _unknown_type(self, entry: TensorEntry, kind: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"{self._path}: tensor {entry.name!r} has the data type {kind}, which cannot be dequantised here",
            "Give the model as F16, BF16, Q8_0 or another common quantisation.",
        )


def _import_gguf() -> ModuleType:
    try:
        import gguf
        import gguf.constants
        import gguf.quants
    except ImportError as error:
        raise MissingDependency(
            "reading GGUF files needs the package 'gguf'", 'Install it: pip install "edge-autoglm[export]".'
        ) from error
    return gguf


def _check_family(path: Path, header: GGUFHeader) -> None:
    metadata = header.metadata
    family = metadata.get("general.architecture")
    if family != "llama":
        raise UnsupportedModel(
            f"{path} holds the architecture {family!r}; of GGUF files, 'llama' is read", "Give a Llama-family model."
        )
    if metadata.get("split.count", 1) > 1:
        raise UnsupportedModel(
            f"{path} is one of {metadata['split.count']} parts", "Join them with llama-gguf-split --merge."
        )
    if metadata.get("llama.expert_count", 0):
        raise UnsupportedModel(f"{path} is a mixture of experts", "Give a dense Llama-family model.")
    if "rope_freqs.weight" in header.tensors:
        raise UnsupportedModel(
            f"{path} scales its rotary frequencies (tensor rope_freqs.weight, Llama 3.1 and later)",
            "Give a model without rotary scaling.",
        )


def _hf_name(path: Path, name: str) -> str:
    """Hugging Face name of a llama.cpp tensor."""
    layer = _LAYER_TENSOR.fullmatch(name)
    if layer and layer[2] in _LAYER_NAMES:
        return f"model.layers.{layer[1]}.{_LAYER_NAMES[layer[2]]}.{layer[3]}"
    stem, _, suffix = name.rpartition(".")
    if stem in _GLOBAL_NAMES and suffix == "weight":
        return f"{_GLOBAL_NAMES[stem]}.weight"
    raise UnsupportedModel(f"{path} has the tensor {name!r}, which no Llama model has", "Give a Llama-family model.")


def _undo_rope_permutation(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of a query or key projection from llama.cpp's order back to Hugging Face's.

    llama.cpp rotates neighbouring pairs, Hugging Face rotates the halves of a head, so the converter interleaves the
    halves (``LlamaModel.permute`` in llama.cpp's ``conversion/llama.py``): row ``2 j + half`` of a head was row
    ``half * head_dim / 2 + j``.
    """
    pairs = values.reshape(heads, -1, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)


def _config(path: Path, header: GGUFHeader, tensors: dict[str, TensorEntry]) -> dict[str, Any]:
    metadata = {key.removeprefix("llama."): value for key, value in header.metadata.items()}

    def need(key: str) -> Any:
        if key not in metadata:
            raise NotAModel(f"{path}: the metadata lacks 'llama.{key}'", _CONVERT_AGAIN)
        return metadata[key]

    if "model.embed_tokens.weight" not in tensors:
        raise NotAModel(f"{path} holds no weights (no tensor token_embd.weight)", "Give a file with the whole model.")
    hidden, heads = need("embedding_length"), need("attention.head_count")
    kv_heads = metadata.get("attention.head_count_kv", heads)
    if not (isinstance(heads, int) and isinstance(kv_heads, int) and heads > 0 and kv_heads > 0):
        raise UnsupportedModel(f"{path} has another number of heads a layer", "Give a model of uniform layers.")
    head_dim = metadata.get("attention.key_length", hidden // heads)
    for key in ("rope.dimension_count", "attention.value_length"):
        if metadata.get(key, head_dim) != head_dim:
            raise UnsupportedModel(
                f"{path}: llama.{key} is {metadata[key]}, but a head has {head_dim} dimensions",
                "Give a model that rotates whole heads.",
            )
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": need("feed_forward_length"),
        "num_hidden_layers": need("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": need("attention.layer_norm_rms_epsilon"),
        "rope_theta": metadata.get("rope.freq_base", 10000.0),
        "rope_scaling": _rope_scaling(metadata),
        "max_position_embeddings": need("context_length"),
        "vocab_size": tensors["model.embed_tokens.weight"].shape[0],
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "attention_bias": "model.layers.0.self_attn.q_proj.bias" in tensors,
        "mlp_bias": "model.layers.0.mlp.gate_proj.bias" in tensors,
    }


def _rope_scaling(metadata: dict[str, Any]) -> dict[str, Any] | None:
    kind = metadata.get("rope.scaling.type", "none")
    if kind == "none":
        return None
    scaling = {"rope_type": kind, "factor": metadata.get("rope.scaling.factor", 1.0)}
    if "rope.scaling.original_context_length" in metadata:
        scaling["original_max_position_embeddings"] = metadata["rope.scaling.original_context_length"]
    return scaling
