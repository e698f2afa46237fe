"""The ONNX Runtime engine: KV in slots, updated in place, rows bound without a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.ort_probe import Probed, probe
from edge_autoglm.runtime.engines.ort_step import DecodeStep, PrefillStep, empty_logits
from edge_autoglm.runtime.engines.slot_checks import check_chunks, check_open
from edge_autoglm.runtime.engines.slot_engine import SlotEngine

_RIDER = 0
"""Any token: nobody looks at what becomes of it."""

_MAX_RIDERS = 2
"""Rows between decoding ones that run along rather than split a step in two. On two AVX2 cores a row adds .25 of a step
(w8a8) or .38 (8-bit blocks), and a second run costs a whole one."""

_TILE = 32
"""Rows that ONNX Runtime's products take at a time, or a part of that. A last row that is left over alone is computed
as in a decode step, which may round otherwise: on SmolLM2 in int8, the logits behind 129 tokens were off by 0.3."""


class OrtEngine(SlotEngine):
    """An `Engine` on the CPU.

    ``past`` and ``present`` of the graph are bound to the same memory. Rows decode together where that gives each the
    same bits as alone on this CPU, one after the other else.
    """

    def __init__(self, model: OrtModel, slots: int, capacity: int, probed: Probed) -> None:
        super().__init__(model, slots, capacity, probed.exact_decode)
        self._probed = probed
        self._logits = empty_logits(model, slots)
        self._decode: dict[tuple[int, int], DecodeStep] = {}
        self._prefill: dict[int, PrefillStep] = {}

    @classmethod
    def load(
        cls,
        graph: Path,
        *,
        fingerprint: str,
        context_length: int,
        slots: int,
        capacity: int,
        threads: int,
        turns: FairLock | None = None,
    ) -> OrtEngine:
        """Load a graph and make an engine over it.

        Args:
            graph: The ``.onnx`` file, its weights beside it.
            fingerprint: Of the graph and its weights.
            context_length: Longest sequence that the model was made for; ``capacity`` is cut to it.
            slots: Rows of the KV state.
            capacity: Tokens a slot can hold.
            threads: Of the operator pool.
            turns: Shared with the other models of the process, whose steps then alternate with this one's.

        Raises:
            DamagedBundle: ONNX Runtime cannot load the graph.
        """
        model = OrtModel(graph, fingerprint, context_length, threads, turns)
        return cls(model, slots, min(capacity, context_length), probe(model))

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """See `Engine`."""
        results: dict[int, Logits] = {}
        order = sorted(chunks, key=lambda chunk: chunk.slot)
        with self._model.lock, self._state:
            self._model.lock.note(self)
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
            return [self._prefilled(first)]
        low, high = first.slot, chunks[-1].slot + 1
        if (low, high) not in self._decode:
            self._decode[low, high] = DecodeStep(self._model, self._kv[:, low:high], self._logits[low:high])
        tokens = [_RIDER] * (high - low)
        for chunk in chunks:
            tokens[chunk.slot - low] = chunk.tokens[0]
        logits = self._decode[low, high].run(tokens, self._lengths[low:high])
        return [logits[chunk.slot - low] for chunk in chunks]

    def _prefilled(self, chunk: Chunk) -> Logits:
        """Run a chunk, in two pieces where a row would be left over."""
        step, length, count = self._prefill_step(chunk.slot), self._lengths[chunk.slot], len(chunk.tokens)
        if count == 1 or count % _TILE != 1:
            return step.run(chunk, length)
        cut, wanted = count - 2, chunk.positions()
        first = Chunk(chunk.slot, chunk.tokens[:cut], [place for place in wanted if place < cut])
        last = Chunk(chunk.slot, chunk.tokens[cut:], [place - cut for place in wanted if place >= cut])
        return np.concatenate([step.run(first, length), step.run(last, length + cut)])

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

    def fork(self, slots: int) -> OrtEngine:
        """See `Engine`."""
        return OrtEngine(self._model, slots, self._facts.capacity, self._probed)

    def _forget_steps(self) -> None:
        self._decode.clear()
        self._prefill.clear()


def _decodes(chunk: Chunk) -> bool:
    return len(chunk.tokens) == 1 and tuple(chunk.positions()) == (0,)
