"""The lowering to elementary operators, for TensorRT before 10.15 (JetPack 6 has 10.3), which lacks the layers.

Nothing in it updates a tensor in place. So the graph gives the new keys and values of a step alone, and whoever runs it
puts them into the cache; for its own attention it puts them into a copy of the live columns, of which attention would
have made one anyway.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_autoglm.export.spec import DecoderSpec, Rope
from edge_autoglm.export.standard.lowering import Cache
from edge_autoglm.export.standard.typed import TypedGraph

OPSET = 20
INT4_OPSET = 21
"""The first with 4-bit types and scales of blocks."""
_HIDDEN = -1e30
"""Added to the logits of what a token does not see; finite, so that no sum of it is NaN."""


class DecomposedLowering:
    """Implements ``Lowering``; keeps what the layers share."""

    def __init__(self, graph: TypedGraph, spec: DecoderSpec) -> None:
        self._graph = graph
        self._builder = graph.builder
        self._spec = spec
        self._shared: dict[str, str] = {}

    def norm(self, name: str, x: str, factors: str, epsilon: float) -> str:
        """See ``Lowering``."""
        op = self._builder.op
        last = self._builder.constant("last_axis", np.array([-1], dtype=np.int64))
        small = self._builder.constant(f"epsilon.{epsilon}", np.array(epsilon, dtype=np.float32))
        mean = op("ReduceMean", f"{name}.mean", [op("Mul", f"{name}.square", [x, x]), last], keepdims=1)
        size = op("Sqrt", f"{name}.size", [op("Add", f"{name}.stable", [mean, small])])
        return op("Mul", name, [op("Div", f"{name}.unit", [x, size]), factors])

    def gelu(self, name: str, x: str) -> str:
        """See ``Lowering``: ``x / 2 * (1 + tanh(sqrt(2 / pi) * x * (1 + 0.044715 * x ** 2)))``."""
        op = self._builder.op
        one, half, cubic, factor = (
            self._builder.constant(f"gelu.{kind}", np.array(value, dtype=np.float32))
            for kind, value in (("one", 1), ("half", 0.5), ("cubic", 0.044715), ("factor", (2 / np.pi) ** 0.5))
        )
        bend = op(
            "Add", f"{name}.bend", [op("Mul", f"{name}.curve", [op("Mul", f"{name}.square", [x, x]), cubic]), one]
        )
        angle = op("Mul", f"{name}.angle", [op("Mul", f"{name}.scaled", [x, factor]), bend])
        share = op("Add", f"{name}.share", [op("Tanh", f"{name}.tanh", [angle]), one])
        return op("Mul", name, [op("Mul", f"{name}.halved", [x, half]), share])

    def rotate(self, name: str, x: str, rope: Rope, tables: tuple[str, str]) -> str:
        """See ``Lowering``; equation 34 of Su et al. 2021, pair by pair."""
        op, (cos, sin) = self._builder.op, (self._angles(table) for table in tables)
        dim = 2 * len(rope.inverse_frequencies)
        turned, rest = (x, None) if dim == self._spec.head_dim else self._split(name, x, dim)
        first, second = self._pairs(name, turned, rope.interleaved)
        left = op("Sub", f"{name}.first", self._products(f"{name}.first", (first, cos), (second, sin)))
        right = op("Add", f"{name}.second", self._products(f"{name}.second", (second, cos), (first, sin)))
        joined = self._join(name if rest is None else f"{name}.turned", left, right, rope.interleaved, dim)
        return joined if rest is None else op("Concat", name, [joined, rest], axis=-1)

    def extend(self, cache: Cache, new: str, live: Callable[[str], str]) -> str:
        """See ``Lowering``: the output is ``new``."""
        op, output = self._builder.op, f"new_{cache.place}"
        self._builder.output(output, self._graph.product_type, ["B", self._spec.kv_heads, "S", self._spec.head_dim])
        op("Identity", output, [new])
        waiting = self._after(f"{cache.place}.waiting", live(cache.past), new)
        return op("ScatterElements", f"{cache.place}.live", [waiting, self._columns(), new], axis=2)

    def _after(self, name: str, x: str, other: str) -> str:
        """``x``, but not before ``other`` is there: TensorRT would slice the caches of all layers first, and hold them.

        They are as much as the live cache itself.
        """
        op, dtype = self._builder.op, self._graph.product_dtype
        begin, end, axes = (
            self._builder.constant(f"first.{kind}", np.array(value, dtype=np.int64))
            for kind, value in (("begin", [0, 0]), ("end", [1, 1]), ("axes", [2, 3]))
        )
        endless = self._builder.constant("endless", np.array(np.inf, dtype=dtype))
        nothing = self._builder.constant("nothing", np.array(0, dtype=dtype))
        first = op("Slice", f"{name}.first", [other, begin, end, axes])
        finite = op("Less", f"{name}.finite", [first, endless])
        return op("Where", name, [finite, x, nothing])

    def attend(self, name: str, heads: tuple[str, str, str], mask: str, scale: float) -> str:
        """See ``Lowering``. The queries that share a head of the cache are stacked as rows of one product."""
        op, (query, key, value) = self._builder.op, heads
        factor = self._builder.constant(f"scale.{scale}", np.array(scale, dtype=np.float32))
        scaled = self._graph.narrow(op("Mul", f"{name}.scaled", [query, factor]))
        stacked = op("Reshape", f"{name}.stacked", [scaled, self._heads(self._spec.kv_heads)])
        turned = op("Transpose", f"{name}.keys", [key], perm=[0, 1, 3, 2])
        logits = self._graph.widen(op("MatMul", f"{name}.logits", [stacked, turned]))
        masked = op("Add", f"{name}.masked", [logits, self._addend(mask)])
        shares = self._graph.narrow(op("Softmax", f"{name}.shares", [masked], axis=-1))
        mixed = op("MatMul", f"{name}.mixed", [shares, value])
        return op("Reshape", name, [mixed, self._heads(self._spec.heads)])

    def _products(self, name: str, *factors: tuple[str, str]) -> list[str]:
        kinds = ("cos", "sin")
        return [
            self._builder.op("Mul", f"{name}.{kind}", list(pair)) for kind, pair in zip(kinds, factors, strict=True)
        ]

    def _split(self, name: str, x: str, dim: int) -> tuple[str, str]:
        """The channels that are rotated, and those that pass through."""
        sizes = self._builder.constant(f"split.{dim}", np.array([dim, self._spec.head_dim - dim], dtype=np.int64))
        parts = (f"{name}.rotated", f"{name}.kept")
        self._builder.op("Split", f"{name}.split", [x, sizes], parts, axis=-1)
        return parts

    def _pairs(self, name: str, x: str, interleaved: bool) -> tuple[str, str]:
        """First and second channels of the pairs; of interleaved ones with an axis of 1 behind."""
        parts = (f"{name}.firsts", f"{name}.seconds")
        if interleaved:
            pairs = self._builder.constant("pairs", np.array([0, 0, 0, -1, 2], dtype=np.int64))
            x = self._builder.op("Reshape", f"{name}.pairs", [x, pairs])
        self._builder.op("Split", f"{name}.halves", [x], parts, axis=-1, num_outputs=2)
        if not interleaved:
            return parts
        last = self._builder.constant("last_axis", np.array([-1], dtype=np.int64))
        first, second = (self._builder.op("Squeeze", f"{part}.flat", [part, last]) for part in parts)
        return first, second

    def _join(self, name: str, left: str, right: str, interleaved: bool, dim: int) -> str:
        op = self._builder.op
        if not interleaved:
            return op("Concat", name, [left, right], axis=-1)
        last = self._builder.constant("last_axis", np.array([-1], dtype=np.int64))
        deep = [op("Unsqueeze", f"{part}.deep", [part, last]) for part in (left, right)]
        shape = self._builder.constant(f"turned.{dim}", np.array([0, 0, 0, dim], dtype=np.int64))
        return op("Reshape", name, [op("Concat", f"{name}.deep", deep, axis=-1), shape])

    def _heads(self, count: int) -> str:
        shape = np.array([0, count, -1, self._spec.head_dim], dtype=np.int64)
        return self._builder.constant(f"heads.{count}", shape)

    def _angles(self, table: str) -> str:
        """Rows of a table for the tokens, ``[B, 1, S, pairs]``; once for all layers."""
        if table not in self._shared:
            rows = self._builder.op("Gather", f"{table}.rows", [table, "position_ids"])
            axis = self._builder.constant("head_axis", np.array([1], dtype=np.int64))
            self._shared[table] = self._builder.op("Unsqueeze", f"{table}.at", [rows, axis])
        return self._shared[table]

    def _columns(self) -> str:
        """Columns of the cache that the tokens go to, ``[B, kv_heads, S, head_dim]``; once for all layers.

        A token's column is its position: of one that only runs along, some column of the copy.
        """
        if "columns" not in self._shared:
            op, spec = self._builder.op, self._spec
            axes = self._builder.constant("outer_axes", np.array([1, 3], dtype=np.int64))
            narrow = op("Unsqueeze", "columns.narrow", ["position_ids", axes])
            wide = self._builder.constant(
                "columns.wide", np.array([1, spec.kv_heads, 1, spec.head_dim], dtype=np.int64)
            )
            self._shared["columns"] = op("Expand", "columns", [narrow, wide])
        return self._shared["columns"]

    def _addend(self, mask: str) -> str:
        """The mask as numbers to add to stacked logits, ``[B, 1, group * S, T]``; once for all layers."""
        if mask not in self._shared:
            seen, hidden = (
                self._builder.constant(f"mask.{name}", np.array(value, dtype=np.float32))
                for name, value in (("seen", 0.0), ("hidden", _HIDDEN))
            )
            once = self._builder.op("Where", f"{mask}.once", [mask, seen, hidden])
            group = self._spec.heads // self._spec.kv_heads
            self._shared[mask] = self._builder.op("Concat", f"{mask}.addend", [once] * group, axis=2)
        return self._shared[mask]
