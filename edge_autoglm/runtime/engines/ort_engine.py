"""The ONNX Runtime engine: KV in slots, updated in place, rows bound without a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVPrefix, Logits
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.ort_probe import rows_agree
from edge_autoglm.runtime.engines.ort_step import DecodeStep, PrefillStep
from edge_autoglm.runtime.engines.slot_checks import check_chunks, check_held, check_open, check_prefix, check_slot


class OrtEngine:
    """An `Engine` on the CPU.

    The KV state is one array of the graph's cache type, ``[2 * layers, slots, kv_heads, capacity, head_dim]``, keys
    before values. The operating system commits its pages when tokens first reach them, so an idle slot costs nothing.
    ``past`` and ``present`` of the graph are bound to the same memory. Rows decode together where that gives each the
    same bits as alone on this CPU (``ort_probe``), one after the other else.
    """

    def __init__(self, model: OrtModel, slots: int, capacity: int, rows_agree: bool) -> None:
        self._model = model
        self._rows_agree = rows_agree
        shape = (2 * model.layers, slots, model.kv_heads, capacity, model.head_dim)
        self._kv: npt.NDArray[np.generic] = np.zeros(shape, dtype=model.kv_dtype)
        self._lengths = [0] * slots
        self._closed = False
        self._decode: dict[tuple[int, int], DecodeStep] = {}
        self._prefill: dict[int, PrefillStep] = {}
        self._facts = EngineFacts(
            vocab_size=model.vocab_size,
            slots=slots,
            capacity=capacity,
            kv_bytes_per_token=2 * model.layers * model.kv_heads * model.head_dim * model.kv_dtype.itemsize,
            fingerprint=model.fingerprint,
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
        return cls(model, slots, min(capacity, context_length), rows_agree(model))

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        return self._facts

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """See `Engine`."""
        check_chunks(chunks, self._lengths, self._facts)
        results: dict[int, Logits] = {}
        order = sorted(chunks, key=lambda chunk: chunk.slot)
        with self._model.lock:
            check_open(self._closed)
            for run in _row_runs(order) if self._rows_agree else ([chunk] for chunk in order):
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
        return self._decode[low, high].run([chunk.tokens[0] for chunk in chunks], self._lengths[low:high])

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
        check_open(self._closed)
        check_held(slot, length, self._lengths, self._facts)
        self._lengths[slot] = length

    def copy_out(self, slot: int, length: int) -> KVPrefix:
        """See `Engine`."""
        check_open(self._closed)
        check_held(slot, length, self._lengths, self._facts)
        array = self._kv[:, slot, :, :length].copy()
        array.flags.writeable = False
        return KVPrefix(self._facts.fingerprint, length, (array,))

    def copy_in(self, slot: int, prefix: KVPrefix, length: int | None = None) -> None:
        """See `Engine`."""
        check_open(self._closed)
        count = prefix.length if length is None else length
        check_prefix(slot, prefix, count, self._facts)
        self._kv[:, slot, :, :count] = prefix.arrays[0][:, :, :count]
        self._lengths[slot] = count

    def fork(self, slots: int) -> OrtEngine:
        """See `Engine`."""
        return OrtEngine(self._model, slots, self._facts.capacity, self._rows_agree)

    def close(self) -> None:
        """See `Engine`."""
        with self._model.lock:  # a step that runs now still writes to the KV state
            self._closed = True
            self._decode.clear()
            self._prefill.clear()
            self._kv = np.zeros((0, 0, 0, 0, 0), dtype=self._model.kv_dtype)


def _decodes(chunk: Chunk) -> bool:
    return len(chunk.tokens) == 1 and tuple(chunk.positions()) == (0,)


def _row_runs(chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Split chunks, ordered by slot, into decode rows that lie side by side and single prefill chunks.

    GroupQueryAttention takes several tokens of a row that has a past for one row at a time only.
    """
    run: list[Chunk] = []
    for chunk in chunks:
        if run and not (_decodes(run[-1]) and _decodes(chunk) and chunk.slot == run[-1].slot + 1):
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run
