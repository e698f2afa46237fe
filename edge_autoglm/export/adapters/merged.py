"""A checkpoint as an adapter changes it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.adapters.adapter import Adapter
from edge_autoglm.export.checkpoint import Checkpoint, TokenizerFiles

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


class AdaptedCheckpoint:
    """A checkpoint with an adapter merged into each tensor as it is read. Implements ``Checkpoint``.

    A head that shares the embedding's weights gets its own where the adapter changes one of the two: an adapter is
    trained on the embedding or on the head, not on both at once.

    Args:
        checkpoint: The model that the adapter was trained on; closed with this object.
        adapter: For it.

    Raises:
        UnsupportedModel: A tensor of the adapter is for a module that the checkpoint lacks, or of another shape.
    """

    def __init__(self, checkpoint: Checkpoint, adapter: Adapter) -> None:
        self._checkpoint = checkpoint
        self._adapter = adapter
        names = set(checkpoint.names())
        shares = _HEAD not in names and _EMBEDDING in names
        self._parted = shares and (adapter.changes(_EMBEDDING) or adapter.changes(_HEAD))
        self._names = names | {_HEAD} if self._parted else names
        for name, factors in adapter.low_rank.items():
            self._check(name, factors.a.name, factors.shape)
        for name, entry in adapter.whole.items():
            self._check(name, entry.name, entry.shape)

    @property
    def location(self) -> str:
        """That of the model."""
        return self._checkpoint.location

    @property
    def config(self) -> dict[str, Any]:
        """That of the model, with ``tie_word_embeddings`` as it is now."""
        config = self._checkpoint.config
        return config | {"tie_word_embeddings": False} if self._parted else config

    def names(self) -> Collection[str]:
        """Names of all tensors."""
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape without reading the data."""
        return self._checkpoint.shape(self._source(name))

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor, merged.

        Raises:
            NotAModel: The adapter's tensors for it hold NaN or an infinity.
            SourceError: As for the checkpoint.
        """
        whole = self._adapter.whole.get(name)
        values = self._checkpoint.read(self._source(name)) if whole is None else whole.read()
        if (factors := self._adapter.low_rank.get(name)) is not None:
            factors.add_to(values)
        return values

    def tokenizer(self) -> TokenizerFiles:
        """That of the model."""
        return self._checkpoint.tokenizer()

    def close(self) -> None:
        """Let go of the model's files."""
        self._checkpoint.close()

    def _source(self, name: str) -> str:
        """Where the checkpoint has what the adapter changes."""
        return _EMBEDDING if self._parted and name == _HEAD else name

    def _check(self, name: str, tensor: str, shape: tuple[int, ...]) -> None:
        if name not in self._names:
            raise UnsupportedModel(
                f"{self._adapter.location}: tensor {tensor!r} is for {name}, which {self.location} does not have",
                "Use the adapter with the model that it was trained on.",
            )
        if self.shape(name) != shape:
            raise UnsupportedModel(
                f"{self._adapter.location}: tensor {tensor!r} is for a weight of the shape {shape}, but {name} of "
                f"{self.location} is {self.shape(name)}",
                "Use the adapter with the model that it was trained on.",
            )
