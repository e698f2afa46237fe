"""What the engines over ONNX Runtime's own graphs share: KV in slots, how much each holds, and copies of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import EngineFacts, KVSegment
from edge_autoglm.runtime.engines.kv_memory import empty_kv
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.slot_checks import check_open, check_range, check_segments
from edge_autoglm.runtime.engines.slot_lengths import SlotLengths

_KV_TOKEN_AXIS = 2

Array = npt.NDArray[Any]
Views = tuple[Array, ...]


class SlotEngine(SlotLengths):
    """The KV state of some slots, ``[2 * layers, slots, kv_heads, capacity, head_dim]``, keys before values.

    Args:
        model: Whose KV it is.
        slots: Rows.
        capacity: Tokens a row.
        exact_decode, page: See `EngineFacts`.
    """

    _token_axes: tuple[int, ...] = (_KV_TOKEN_AXIS,)

    def __init__(self, model: OrtModel, slots: int, capacity: int, exact_decode: bool, page: int = 1) -> None:
        facts = EngineFacts(
            vocab_size=model.vocab_size,
            slots=slots,
            capacity=capacity,
            kv_bytes_per_token=2 * model.layers * model.kv_heads * model.head_dim * model.kv_dtype.itemsize,
            fingerprint=model.fingerprint,
            exact_decode=exact_decode,
            page=page,
        )
        super().__init__(facts, model.lock)
        self._model = model
        self._kv = empty_kv((2 * model.layers, slots, model.kv_heads, capacity, model.head_dim), model.kv_dtype)

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        """See `Engine`."""
        check_open(self._closed)
        check_range(slot, begin, end, self._lengths, self._facts)
        arrays = tuple(view.copy() for view in self._cut(slot, begin, end))
        for array in arrays:
            array.flags.writeable = False
        return KVSegment(self._facts.fingerprint, begin, end - begin, arrays, self._token_axes)

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """See `Engine`."""
        with self._state:
            check_open(self._closed)
            used = check_segments(slot, segments, length, self._facts)
            for segment, end in used:
                views = self._cut(slot, segment.begin, end)
                for view, axis, array in zip(views, self._token_axes, segment.arrays, strict=True):
                    view[...] = _tokens(np.asarray(array), axis, 0, end - segment.begin)
            self._lengths[slot] = used[-1][1] if used else 0

    def close(self) -> None:
        """See `Engine`."""
        with self._turns, self._state:  # a step that runs now still writes to the KV state
            self._closed = True
            self._forget_steps()
            self._kv = empty_kv((0, 0, 0, 0, 0), self._model.kv_dtype)

    def _views(self, slot: int) -> Views:
        """All that is kept of a slot; its tokens lie along ``_token_axes``."""
        return (self._kv[:, slot],)

    def _forget_steps(self) -> None:
        """Drop whatever else points into the KV state."""

    def _cut(self, slot: int, begin: int, end: int) -> Views:
        pairs = zip(self._views(slot), self._token_axes, strict=True)
        return tuple(_tokens(view, axis, begin, end) for view, axis in pairs)


def _tokens(array: Array, axis: int, begin: int, end: int) -> Array:
    part: Array = array[(slice(None),) * axis + (slice(begin, end),)]
    return part
