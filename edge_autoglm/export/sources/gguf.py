"""Checkpoints in GGUF files, presented under their Hugging Face names."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.gguf_architectures import Architecture
from edge_autoglm.export.sources.gguf_config import ROPE_FACTORS, architecture_of, model_config
from edge_autoglm.export.sources.gguf_header import TensorEntry, read_header
from edge_autoglm.export.sources.gguf_tokenizer import tokenizer_files
from edge_autoglm.export.sources.gguf_types import stored_type, type_name
from edge_autoglm.export.sources.spans import check_size
from edge_autoglm.export.sources.stored_types import StoredType

_GLOBAL_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ROTATED = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
"""Projections whose rows llama.cpp may reorder -> config field with their number of heads."""
_LAYER_TENSOR = re.compile(r"blk\.(0|[1-9]\d{0,5})\.(\w+)\.(weight|bias)")
_MAX_ROPE_FACTORS = 4096
_DAMAGED = "The file is damaged; download or convert it again."


class GGUFCheckpoint:
    """A model in one GGUF file. Implements ``Checkpoint``.

    Args:
        path: The file. Its header is read and the place of every tensor is checked; weights stay on disk.

    Raises:
        SourceError: The file is not GGUF, damaged, truncated or of an architecture that is not read.
        MissingDependency: The ``gguf`` package is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        header = read_header(path)
        self._metadata = header.metadata
        self._architecture = architecture_of(self._metadata, header.tensors, self.location)
        entries = header.tensors.values()
        self._types = {kind: stored_type(kind) for kind in {entry.ggml_type for entry in entries}}
        self._check_places(entries)
        self._tensors = {
            _hf_name(path, name, self._architecture): entry
            for name, entry in header.tensors.items()
            if name != ROPE_FACTORS
        }
        shapes = {name: entry.shape for name, entry in self._tensors.items()}
        factors = self._rope_factors(header.tensors)
        self._config = model_config(self._metadata, shapes, factors, self.location)

    @property
    def location(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def config(self) -> dict[str, Any]:
        """The metadata, translated to the keys of the family's ``config.json``."""
        return dict(self._config)

    def names(self) -> Collection[str]:
        """Hugging Face names of all tensors."""
        return self._tensors.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape without reading the data."""
        return self._entry(name).shape

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor, dequantised to float32, as the Hugging Face checkpoint has it."""
        values = self._values(self._entry(name))
        module = name.split(".")[-2]
        if module.endswith("norm"):
            with np.errstate(all="ignore"):  # of a damaged file; infinities are looked for where the values are used
                values -= np.float32(self._architecture.norm_offset)
        if self._architecture.rows_permuted and module in _ROTATED:
            self._restore_order(values, name, self._config[_ROTATED[module]])
        return values

    def tokenizer(self) -> TokenizerFiles:
        """The tokenizer, rebuilt from the metadata."""
        return tokenizer_files(self._metadata, self.location, rows=self._config["vocab_size"])

    def close(self) -> None:
        """Nothing to let go of: no file is kept open between reads."""

    def _entry(self, name: str) -> TensorEntry:
        if name not in self._tensors:
            raise UnsupportedModel(f"{self._path} has no tensor for {name!r}", "Give a complete model.")
        return self._tensors[name]

    def _type(self, entry: TensorEntry) -> StoredType:
        stored = self._types[entry.ggml_type]
        if stored is None:
            raise UnsupportedModel(
                f"{self._path}: tensor {entry.name!r} is of ggml type {type_name(entry.ggml_type)}, which is not "
                "dequantised here",
                "Give the model as F16, BF16, Q8_0 or another common quantisation.",
            )
        return stored

    def _values(self, entry: TensorEntry) -> npt.NDArray[np.float32]:
        values = self._type(entry).read(self._path, entry.name, entry.offset, math.prod(entry.shape))
        return values.reshape(entry.shape)

    def _check_places(self, entries: Collection[TensorEntry]) -> None:
        """Check that rows are whole blocks and that tensors lie one after the other within the file."""
        last, position = "", 0
        for entry in sorted(entries, key=lambda entry: entry.offset):
            block, row = self._type(entry).block, entry.shape[-1]
            if row % block:
                raise NotAModel(
                    f"{self._path}: rows of tensor {entry.name!r} have {row} values, no multiple of {block}", _DAMAGED
                )
            if entry.offset < position:
                raise NotAModel(f"{self._path}: tensor {entry.name!r} overlaps tensor {last!r}", _DAMAGED)
            last, position = entry.name, entry.offset + self._type(entry).nbytes(math.prod(entry.shape))
        check_size(self._path, last, position)

    def _rope_factors(self, tensors: Mapping[str, TensorEntry]) -> list[float] | None:
        entry = tensors.get(ROPE_FACTORS)
        if entry is None:
            return None
        if len(entry.shape) != 1 or entry.shape[0] > _MAX_ROPE_FACTORS:
            raise NotAModel(f"{self._path}: tensor {ROPE_FACTORS!r} has the shape {entry.shape}", _DAMAGED)
        factors: list[float] = self._values(entry).tolist()
        if not all(0 < factor < math.inf for factor in factors):
            raise NotAModel(f"{self._path}: tensor {ROPE_FACTORS!r} holds numbers that are not positive", _DAMAGED)
        return factors

    def _restore_order(self, values: npt.NDArray[np.float32], name: str, heads: int) -> None:
        """Undo the reordering of rows in a query or key projection, in place.

        llama.cpp rotates neighbouring pairs, Hugging Face the two halves of a head, so the converter interleaves the
        halves (``LlamaModel.permute`` in llama.cpp's ``conversion/llama.py``): row ``2 j + half`` of a head was row
        ``half * head_dim / 2 + j``.
        """
        head_dim = self._config["head_dim"]
        if values.shape[0] != heads * head_dim or head_dim % 2:
            raise NotAModel(
                f"{self._path}: tensor {name!r} has {values.shape[0]} rows instead of {heads * head_dim}", _DAMAGED
            )
        for head in np.split(values, heads):
            pairs = head.reshape(head_dim // 2, 2, *values.shape[1:])
            head[:] = pairs.swapaxes(0, 1).reshape(head.shape)


def _hf_name(path: Path, name: str, architecture: Architecture) -> str:
    layer = _LAYER_TENSOR.fullmatch(name)
    if layer and layer[2] in architecture.layer_names:
        return f"model.layers.{layer[1]}.{architecture.layer_names[layer[2]]}.{layer[3]}"
    stem, _, suffix = name.rpartition(".")
    if stem in _GLOBAL_NAMES and suffix == "weight":
        return f"{_GLOBAL_NAMES[stem]}.weight"
    raise UnsupportedModel(
        f"{path} has the tensor {name!r}, which no {architecture.hf_class} has", "Give a model of this family."
    )
