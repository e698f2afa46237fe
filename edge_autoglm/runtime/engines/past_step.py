"""One run of a graph that takes past keys and values and returns those of the new tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import Logits
from edge_autoglm.runtime.engines.ort_model import OrtModel

KV = npt.NDArray[np.generic]


class PastStep:
    """Runs the graph for one row; keeps nothing between two runs."""

    def __init__(self, model: OrtModel) -> None:
        self._model = model
        names = [(kind, layer) for kind in ("key", "value") for layer in range(model.layers)]
        self._past = [f"past_{kind}.{layer}" for kind, layer in names]
        self._outputs = ["logits", *(f"present_{kind}.{layer}" for kind, layer in names)]
        self._inputs = {value.name for value in model.session.get_inputs()}

    def run(self, tokens: npt.NDArray[np.int64], past: KV, logits_at: Sequence[int]) -> tuple[Logits, KV]:
        """Run tokens ``[S]`` behind a past.

        Args:
            tokens: Ids.
            past: ``[2 * layers, kv_heads, P, head_dim]``, keys before values.
            logits_at: Offsets into ``tokens``.

        Returns:
            Logits ``[len(logits_at), vocab]``, and keys and values of the tokens in the layout of ``past``.
        """
        begin, end = past.shape[2], past.shape[2] + len(tokens)
        feeds: dict[str, npt.NDArray[Any]] = {
            "input_ids": tokens[None],
            "attention_mask": np.ones((1, end), dtype=np.int64),
            "position_ids": np.arange(begin, end, dtype=np.int64)[None],
            "logits_at": np.asarray(logits_at, dtype=np.int64),
        }
        feeds = {name: array for name, array in feeds.items() if name in self._inputs}
        feeds |= dict(zip(self._past, np.ascontiguousarray(past)[:, None], strict=True))
        logits, *new = self._model.session.run(self._outputs, feeds)
        return logits, np.concatenate(new)
