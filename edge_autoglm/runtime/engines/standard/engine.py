"""The engine over the standard graph, wherever that runs: every token in one of a few fixed shapes (see ``sizes.py``).

A chunk of two tokens or more runs page by page. Tokens of its first page that came earlier are computed again, from the
token ids that the engine keeps: the same shapes give the same bits. (Those that decode steps had computed take the bits
of prefill then.) A chunk of one token is a decode step and runs together with those of its block of rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from weakref import WeakSet

import numpy as np

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVSegment, Logits
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.engines.slot_checks import check_chunks, check_open, check_range, check_segments
from edge_autoglm.runtime.engines.slot_lengths import SlotLengths
from edge_autoglm.runtime.engines.standard.backend import Backend, BoundStep
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.standard.steps import write_decode, write_page

_KV_TOKEN_AXIS = 2


class StandardEngine(SlotLengths):
    """Implements `Engine`.

    Args:
        backend: Runs the graph; closed with the last fork.
        fingerprint: Of the graph, its weights and where it runs.
        slots: Rows of the KV state.
        capacity: Tokens a slot can hold; cut to what the graph has room for.
        turns: Shared with the other models of the process, whose steps then alternate with this one's.

    Raises:
        EngineError: The graph's cache is no whole number of pages.
        MemoryBudgetExceeded: The device has no room for the KV state.
    """

    def __init__(
        self, backend: Backend, *, fingerprint: str, slots: int, capacity: int, turns: FairLock | None = None
    ) -> None:
        graph, sizes = backend.facts, backend.sizes
        if graph.columns % sizes.page:  # the last page would be written beyond the row
            raise EngineError(
                f"the graph's cache of {graph.columns} columns is no whole number of pages of {sizes.page}",
                "Export the model again.",
            )
        facts = EngineFacts(
            vocab_size=graph.vocab_size,
            slots=slots,
            capacity=min(capacity, graph.columns - 1),
            kv_bytes_per_token=2 * graph.layers * graph.kv_heads * graph.head_dim * graph.kv_dtype.itemsize,
            fingerprint=fingerprint,
            page=sizes.page,
        )
        super().__init__(facts, turns or FairLock())
        self._backend = backend
        self._sizes = sizes
        self._columns = graph.columns
        self._kv = backend.kv(-(-slots // sizes.rows) * sizes.rows)
        self._tokens = np.zeros((slots, graph.columns), dtype=np.int64)
        self._steps: dict[tuple[int, StepShape], BoundStep] = {}
        self._sharing = WeakSet([self])
        """The engines over this backend that are open; changed in a turn."""

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """See `Engine`."""
        with self._turns, self._state:
            self._turns.note(self)
            check_open(self._closed)
            check_chunks(chunks, self._lengths, self._facts)
            results = {chunk.slot: self._prefill(chunk) for chunk in chunks if len(chunk.tokens) > 1}
            results |= self._decode([chunk for chunk in chunks if len(chunk.tokens) == 1])
        return [results[chunk.slot] for chunk in chunks]

    def _prefill(self, chunk: Chunk) -> Logits:
        slot, begin, page = chunk.slot, self._lengths[chunk.slot], self._sizes.page
        end = begin + len(chunk.tokens)
        self._tokens[slot, begin:end] = chunk.tokens
        wanted = [begin + offset for offset in chunk.positions()]
        logits: list[Logits] = []
        for first in range(begin - begin % page, end, page):
            last = min(first + page, end)
            logits += self._page(slot, first, last, [place - first for place in wanted if first <= place < last])
        self._lengths[slot] = end
        return np.concatenate(logits)

    def _page(self, slot: int, first: int, last: int, wanted: Sequence[int]) -> Iterator[Logits]:
        """Compute the page of tokens ``first`` to ``last``; once more for every ``head_rows`` wanted offsets."""
        at_once = self._sizes.head_rows
        live = self._sizes.live_length(first + self._sizes.page, self._columns)
        step = self._step(slot, StepShape(1, self._sizes.page, live, at_once))
        for begin in range(0, max(len(wanted), 1), at_once):
            part = wanted[begin : begin + at_once]
            write_page(step.inputs, first, self._tokens[slot, first:last], part)
            yield step.run(len(part))

    def _decode(self, chunks: Sequence[Chunk]) -> dict[int, Logits]:
        """One token a chunk. A row's step depends on its own length alone: rows of another live length wait."""
        rows, groups = self._sizes.rows, defaultdict(list)
        for chunk in chunks:
            live = self._sizes.live_length(self._lengths[chunk.slot] + 1, self._columns)
            groups[chunk.slot - chunk.slot % rows, live].append(chunk)
        results: dict[int, Logits] = {}
        for (first, live), group in groups.items():
            step = self._step(first, StepShape(rows, 1, live, rows))
            tokens = {chunk.slot - first: chunk.tokens[0] for chunk in group}
            write_decode(step.inputs, tokens, self._lengths[first : first + rows], self._columns)
            logits = step.run(max(tokens) + 1)
            for chunk in group:
                slot, row = chunk.slot, chunk.slot - first
                results[slot] = logits[row : row + len(chunk.positions())]
                self._tokens[slot, self._lengths[slot]] = chunk.tokens[0]
                self._lengths[slot] += 1
        return results

    def _step(self, first_row: int, shape: StepShape) -> BoundStep:
        key = first_row, shape
        if key not in self._steps:
            self._steps[key] = self._kv.bind(first_row, shape)
        return self._steps[key]

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        """See `Engine`."""
        with self._state:
            check_open(self._closed)
            check_range(slot, begin, end, self._lengths, self._facts)
            kv, tokens = self._kv.copy_out(slot, begin, end), self._tokens[slot, begin:end].copy()
        tokens.flags.writeable = False
        axes = (*[_KV_TOKEN_AXIS] * len(kv), 0)
        return KVSegment(self._facts.fingerprint, begin, end - begin, (*kv, tokens), axes)

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """See `Engine`."""
        with self._state:
            check_open(self._closed)
            used = check_segments(slot, segments, length, self._facts)
            for segment, end in used:
                *kv, tokens = segment.arrays
                self._kv.copy_in(slot, segment.begin, kv, end - segment.begin)
                self._tokens[slot, segment.begin : end] = np.asarray(tokens)[: end - segment.begin]
            self._lengths[slot] = used[-1][1] if used else 0

    def fork(self, slots: int) -> StandardEngine:
        """See `Engine`."""
        with self._turns:
            check_open(self._closed)
            fork = StandardEngine(
                self._backend,
                fingerprint=self._facts.fingerprint,
                slots=slots,
                capacity=self._facts.capacity,
                turns=self._turns,
            )
            fork._sharing = self._sharing
            self._sharing.add(fork)
        return fork

    def close(self) -> None:
        """See `Engine`."""
        with self._turns, self._state:  # a step that runs now still writes to the KV state
            if self._closed:
                return
            self._closed = True
            self._steps.clear()
            self._kv.close()
            self._sharing.discard(self)
            if not self._sharing:
                self._backend.close()
