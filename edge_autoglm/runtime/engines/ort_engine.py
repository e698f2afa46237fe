"""The ONNX Runtime engine: KV in slots, updated in place, rows bound without a copy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVSegment, Logits
from edge_autoglm.runtime.engines.kv_memory import empty_kv
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.ort_probe import Probed, probe
from edge_autoglm.runtime.engines.ort_step import DecodeStep, PrefillStep
from edge_autoglm.runtime.engines.slot_checks import (
    check_chunks,
    check_held,
    check_open,
    check_range,
    check_segments,
    check_slot,
)

_RIDER = 0
"""Any token: nobody looks at what becomes of it."""

_MAX_RIDERS = 4
"""Rows between decoding ones that run along rather than split a step in two. On two AVX2 cores a row adds a quarter of
a step (8-bit blocks), and a second run costs a whole one."""


class OrtEngine:
    """An `Engine` on the CPU.

    The KV state is one array of the graph's cache type, ``[2 * layers, slots, kv_heads, capacity, head_dim]``, keys
    before values. The operating system commits its pages when tokens first reach them, so an idle slot costs nothing.
    ``past`` and ``present`` of the graph are bound to the same memory. Rows decode together where that gives each the
    same bits as alone on this CPU, one after the other else.
    """

    def __init__(self, model: OrtModel, slots: int, capacity: int, probed: Probed) -> None:
        self._model = model
        self._probed = probed
        shape = (2 * model.layers, slots, model.kv_heads, capacity, model.head_dim)
        self._kv = empty_kv(shape, model.kv_dtype)
        self._lengths = [0] * slots
        self._closed = False
        self._state = threading.Lock()  # of lengths and rows; taken inside the model's lock, never around it
        self._decode: dict[tuple[int, int], DecodeStep] = {}
        self._prefill: dict[int, PrefillStep] = {}
        self._facts = EngineFacts(
            vocab_size=model.vocab_size,
            slots=slots,
            capacity=capacity,
            kv_bytes_per_token=2 * model.layers * model.kv_heads * model.head_dim * model.kv_dtype.itemsize,
            fingerprint=model.fingerprint,
            exact_decode=probed.exact_decode,
        )

    @classmethod
    def load(
        cls, graph: Path, *, fingerprint: str, context_length: int, slots: int, capacity: int, threads: int
    ) -> OrtEngine:
        """Load a graph and make an engine over it.

        Args:
            graph: The ``.onnx`` file, its weights beside it.
            fingerprint: Of the graph and its weights.
            context_length: Longest sequence that the model was made for; ``capacity`` is cut to it.
            slots: Rows of the KV state.
            capacity: Tokens a slot can hold.
            threads: Of the operator pool.

        Raises:
            DamagedBundle: ONNX Runtime cannot load the graph.
        """
        model = OrtModel(graph, fingerprint, context_length, threads)
        return cls(model, slots, min(capacity, context_length), probe(model))

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        return self._facts

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """See `Engine`."""
        results: dict[int, Logits] = {}
        order = sorted(chunks, key=lambda chunk: chunk.slot)
        with self._model.lock, self._state:
            check_open(self._closed)
            check_chunks(chunks, self._lengths, self._facts)
            for run in self._row_runs(order) if self._probed.rows_agree else ([chunk] for chunk in order):
                logits = self._run(run)
                for chunk, rows in zip(run, logits, strict=True):
                    results[chunk.slot] = rows
                    self._lengths[chunk.slot] += len(chunk.tokens)
        return [results[chunk.slot] for chunk in chunks]

    def _run(self, chunks: Sequence[Chunk]) -> Sequence[Logits]:
        first = chunks[0]
        if not _decodes(first):
            return [self._prefill_step(first.slot).run(first, self._lengths[first.slot])]
        low, high = first.slot, chunks[-1].slot + 1
        if (low, high) not in self._decode:
            self._decode[low, high] = DecodeStep(self._model, self._kv[:, low:high])
        tokens = [_RIDER] * (high - low)
        for chunk in chunks:
            tokens[chunk.slot - low] = chunk.tokens[0]
        logits = self._decode[low, high].run(tokens, self._lengths[low:high])
        return [logits[chunk.slot - low] for chunk in chunks]

    def _row_runs(self, chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
        """Split chunks, ordered by slot, into decode rows that run together and single prefill chunks.

        GroupQueryAttention takes several tokens of a row that has a past for one row at a time only.
        """
        run: list[Chunk] = []
        for chunk in chunks:
            if run and not (_decodes(run[-1]) and _decodes(chunk) and self._rides(run[-1].slot + 1, chunk.slot)):
                yield run
                run = []
            run.append(chunk)
        if run:
            yield run

    def _rides(self, low: int, high: int) -> bool:
        """Whether the slots between two decoding ones may run along: what that writes lies behind what they hold."""
        return high - low <= _MAX_RIDERS and all(length < self._facts.capacity for length in self._lengths[low:high])

    def _prefill_step(self, slot: int) -> PrefillStep:
        if slot not in self._prefill:
            self._prefill[slot] = PrefillStep(self._model, self._kv[:, slot : slot + 1])
        return self._prefill[slot]

    def length(self, slot: int) -> int:
        """See `Engine`."""
        check_open(self._closed)
        check_slot(slot, self._facts)
        return self._lengths[slot]

    def truncate(self, slot: int, length: int) -> None:
        """See `Engine`."""
        with self._state:
            check_open(self._closed)
            check_held(slot, length, self._lengths, self._facts)
            self._lengths[slot] = length

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        """See `Engine`."""
        check_open(self._closed)
        check_range(slot, begin, end, self._lengths, self._facts)
        array = self._kv[:, slot, :, begin:end].copy()
        array.flags.writeable = False
        return KVSegment(self._facts.fingerprint, begin, end - begin, (array,), token_axes=(2,))

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """See `Engine`."""
        with self._state:
            check_open(self._closed)
            used = check_segments(slot, segments, length, self._facts)
            for segment, end in used:
                self._kv[:, slot, :, segment.begin : end] = segment.arrays[0][:, :, : end - segment.begin]
            self._lengths[slot] = used[-1][1] if used else 0

    def fork(self, slots: int) -> OrtEngine:
        """See `Engine`."""
        return OrtEngine(self._model, slots, self._facts.capacity, self._probed)

    def close(self) -> None:
        """See `Engine`."""
        with self._model.lock, self._state:  # a step that runs now still writes to the KV state
            self._closed = True
            self._decode.clear()
            self._prefill.clear()
            self._kv = empty_kv((0, 0, 0, 0, 0), self._model.kv_dtype)


def _decodes(chunk: Chunk) -> bool:
    return len(chunk.tokens) == 1 and tuple(chunk.positions()) == (0,)
