"""Checkpoints in Hugging Face folders: ``config.json`` and safetensors, in one file or in shards."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import NotAModel, SourceNotFound, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.hf_tokenizer import tokenizer_files
from edge_autoglm.export.sources.safetensors_header import TensorEntry, read_header
from edge_autoglm.export.sources.text_files import read_json

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARDS = "model-*.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class SafetensorsFolder:
    """A Hugging Face checkpoint folder. Implements ``Checkpoint``.

    Args:
        folder: Holds ``config.json`` and ``model.safetensors``, or shards with their index. Headers are read and
            checked; weights stay on disk.
        location: What messages call the checkpoint; the folder by default.

    Raises:
        SourceError: Something is missing, damaged, truncated, or only there as a pickle.
    """

    def __init__(self, folder: Path, location: str | None = None) -> None:
        self._folder = folder
        self._location = location or str(folder)
        if not (folder / "config.json").is_file():
            raise NotAModel(f"{folder} is not a checkpoint folder (no config.json)", _cure_for(folder))
        self._config = read_json(folder / "config.json")
        self._tensors = _tensors(folder)

    @property
    def location(self) -> str:
        """The folder, or the hub id that it came from."""
        return self._location

    @property
    def config(self) -> dict[str, Any]:
        """Content of ``config.json``."""
        return dict(self._config)

    def names(self) -> Collection[str]:
        """Names of all tensors."""
        return self._tensors.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape without reading the data."""
        return self._entry(name).shape

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor as float32."""
        return self._entry(name).read()

    def tokenizer(self) -> TokenizerFiles:
        """``tokenizer.json`` and what the files beside it say about special tokens and chat."""
        return tokenizer_files(self._folder, self._config)

    def close(self) -> None:
        """Nothing to let go of: no file is kept open between reads."""

    def _entry(self, name: str) -> TensorEntry:
        if name not in self._tensors:
            raise UnsupportedModel(f"{self._location} has no tensor {name!r}", "Give a complete checkpoint.")
        return self._tensors[name]


def _tensors(folder: Path) -> dict[str, TensorEntry]:
    # Of a folder that has both, transformers takes the single file too.
    if (folder / _SINGLE).is_file():
        return read_header(folder / _SINGLE)
    if (folder / _INDEX).is_file():
        return _sharded(folder)
    raise NotAModel(f"{folder} has no weights in safetensors ({_SINGLE} or {_INDEX})", _cure_for(folder))


def _sharded(folder: Path) -> dict[str, TensorEntry]:
    index = folder / _INDEX
    shard_of = read_json(index, unique=True).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise NotAModel(f"{index} has no field 'weight_map'", "Download the checkpoint again.")
    headers = {shard: _shard(folder, shard) for shard in sorted(set(shard_of.values()))}
    for name, shard in shard_of.items():
        if name not in headers[shard]:
            raise NotAModel(
                f"{index} says that tensor {name!r} is in {shard}, which does not have it",
                "Download index and shards again, from one revision.",
            )
    return {name: headers[shard][name] for name, shard in shard_of.items()}


def _shard(folder: Path, shard: str) -> dict[str, TensorEntry]:
    # A name with a path in it could reach outside the folder.
    if Path(shard).name != shard:
        raise NotAModel(f"{folder / _INDEX} names the shard {shard!r}, which is not a file name", "Use another source.")
    if not (folder / shard).is_file():
        raise SourceNotFound(f"the shard {folder / shard} is missing", "Download the rest of the checkpoint.")
    return read_header(folder / shard)


def _cure_for(folder: Path) -> str:
    if next(folder.glob(_SHARDS), None):
        return f"Download {_INDEX} too: it says which shard holds which tensor."
    if any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        return "Pickled weights are never loaded; convert them to safetensors (save_pretrained of transformers does)."
    if gguf := next(folder.glob("*.gguf"), None):
        return f"Give the GGUF file itself: {gguf}."
    return "Give a folder with config.json and safetensors, a .gguf file or a hub id."
