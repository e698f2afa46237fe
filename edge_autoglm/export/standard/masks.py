"""What each token sees: the graph's input ``attn_mask``, cut to a window for the layers that slide."""

from __future__ import annotations

import numpy as np

from edge_autoglm.export.graph.builder import GraphBuilder


class MaskNodes:
    """Appends masks to a graph, one for all layers of one window, and the slices of the cache that they cover.

    Made once the graph has its inputs ``attn_mask`` and ``position_ids``.
    """

    def __init__(self, graph: GraphBuilder) -> None:
        self._graph = graph
        self._masks: dict[int | None, str] = {None: "attn_mask"}
        self._zero, self._axis = (graph.constant(f"at.{i}", np.array([i], dtype=np.int64)) for i in (0, 2))
        self._live = graph.op("Shape", "live", ["attn_mask"], start=3, end=4)

    def live(self, cache: str) -> str:
        """Of a cache ``[B, kv_heads, C, head_dim]`` the T columns that the mask is over."""
        return self._graph.op("Slice", f"{cache}.live", [cache, self._zero, self._live, self._axis])

    def of(self, window: int | None) -> str:
        """Name of the bool mask ``[B, 1, S, T]``; a token sees itself and the ``window - 1`` before it.

        Column c of the cache holds the token at position c.
        """
        if window not in self._masks:
            op, name = self._graph.op, f"attn_mask.{window}"
            size = self._graph.constant(f"window.{window}", np.array(window, dtype=np.int64))
            axes = self._graph.constant("outer_axes", np.array([1, 3], dtype=np.int64))
            last_hidden = op("Sub", f"{name}.last_hidden", ["position_ids", size])
            near = op(
                "Greater", f"{name}.near", [self._columns(), op("Unsqueeze", f"{name}.edge", [last_hidden, axes])]
            )
            self._masks[window] = op("And", name, ["attn_mask", near])
        return self._masks[window]

    def _columns(self) -> str:
        """0 ... T - 1; once for all windows."""
        if len(self._masks) == 1:
            zero, one = (self._graph.constant(f"int.{i}", np.array(i, dtype=np.int64)) for i in (0, 1))
            count = self._graph.op("Squeeze", "live.count", [self._live, self._zero])
            self._graph.op("Range", "live.columns", [zero, count, one])
        return "live.columns"
