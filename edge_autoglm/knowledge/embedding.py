"""Embeddings: a plug-in of the app's; nothing here brings a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_log = logging.getLogger("edge_autoglm")


class Embedder(Protocol):
    """Turns texts into vectors, such that texts about the same thing point the same way.

    An attribute ``name``, where there is one, says which it is: vectors of another one are made anew. Else its class
    does. Called from several threads.
    """

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.floating]:
        """Vectors ``[len(texts), d]``, of any length."""


def embedder_name(embedder: Embedder) -> str:
    """Under which its vectors are kept."""
    return str(getattr(embedder, "name", type(embedder).__qualname__))


def unit_vectors(embedder: Embedder, texts: Sequence[str]) -> FloatArray | None:
    """The vectors at length 1, float32 ``[len(texts), d]``.

    A plug-in that fails or gives something else is logged, and ``None`` returned: search goes on without it.
    """
    try:
        vectors = np.asarray(embedder.embed(list(texts)), dtype=np.float32)
    except Exception as error:  # whatever the app's own code raises
        _log.warning("the embedder failed, texts are searched by their words only: %s", error)
        return None
    if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.size or not np.isfinite(vectors).all():
        _log.warning("the embedder gave shape %s for %d texts; texts are searched by words", vectors.shape, len(texts))
        return None
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)
