"""The engine for graphs whose attention stays as another exporter wrote it: past in, new keys and values out.

Their attention spans all tokens of a run, later ones masked, so that the length of a token's row, and with it the order
of summation, depends on which tokens share its run. The contract wants equal bits however a prompt is split. The x86
kernels of ONNX Runtime 1.32 give them (measured up to 1,200 tokens); the portable softmax that ARM runs sums the last
one to three terms of a row apart and does not. Hence a *page* of `PAGE` tokens is the unit: a prompt token is always
computed in a run over its whole page, behind the pages before it. Tokens of the page that came earlier are computed
again (their cached keys and values stay as they are), and the places behind the chunk are padding, which causal
attention does not see. A token's place and all shapes are then the same in every split, on any processor. A page costs
one run of `PAGE` rows, whatever part of it is new.

A chunk of one token is a decode step and runs alone behind all that the slot holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVSegment, Logits
from edge_autoglm.runtime.engines.kv_memory import empty_kv
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.past_step import PastStep
from edge_autoglm.runtime.engines.slot_checks import (
    check_chunks,
    check_held,
    check_open,
    check_range,
    check_segments,
    check_slot,
)

PAGE = 32
"""Tokens. Twice as many would prefill long prompts faster and make a short rest behind a prefix twice as dear."""
_PADDING = 0
"""Any id of the vocabulary; nothing sees the padding."""


class PastEngine:
    """An `Engine` on the CPU for the *past* form of an exported graph.

    The KV state is one float32 array ``[2 * layers, slots, kv_heads, capacity, head_dim]``, keys before values, beside
    the token ids ``[slots, capacity]``. A run takes a copy of the live part of one slot; the chunks of a call run one
    after the other.
    """

    def __init__(self, model: OrtModel, slots: int, capacity: int) -> None:
        self._model = model
        self._step = PastStep(model)
        self._kv = empty_kv((2 * model.layers, slots, model.kv_heads, capacity, model.head_dim), np.dtype(np.float32))
        self._tokens = np.zeros((slots, capacity), dtype=np.int64)
        self._lengths = [0] * slots
        self._closed = False
        self._facts = EngineFacts(
            vocab_size=model.vocab_size,
            slots=slots,
            capacity=capacity,
            kv_bytes_per_token=2 * model.layers * model.kv_heads * model.head_dim * 4,
            fingerprint=model.fingerprint,
        )

    @classmethod
    def load(
        cls, graph: Path, *, fingerprint: str, context_length: int, slots: int, capacity: int, threads: int
    ) -> PastEngine:
        """Load a graph and make an engine over it; arguments and errors are those of ``OrtEngine.load``."""
        return cls(OrtModel(graph, fingerprint, context_length, threads), slots, min(capacity, context_length))

    @property
    def facts(self) -> EngineFacts:
        """See `Engine`."""
        return self._facts

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """See `Engine`."""
        check_chunks(chunks, self._lengths, self._facts)
        with self._model.lock:
            check_open(self._closed)
            return [self._run(chunk) for chunk in chunks]

    def _run(self, chunk: Chunk) -> Logits:
        slot, begin = chunk.slot, self._lengths[chunk.slot]
        end = begin + len(chunk.tokens)
        self._tokens[slot, begin:end] = chunk.tokens
        wanted = [begin + offset for offset in chunk.positions()]
        runs = [(begin, end)] if len(chunk.tokens) == 1 else list(_parts(begin, end))
        logits = [self._part(slot, first, last, wanted, decode=len(chunk.tokens) == 1) for first, last in runs]
        self._lengths[slot] = end
        return np.concatenate(logits)

    def _part(self, slot: int, begin: int, end: int, wanted: Sequence[int], *, decode: bool) -> Logits:
        """Append tokens ``begin`` to ``end``, which lie in one page; logits at the wanted ones among them."""
        first = begin if decode else begin - begin % PAGE
        last = end if decode else min(first + PAGE, self._model.context_length)
        tokens = np.full(last - first, _PADDING, dtype=np.int64)
        tokens[: end - first] = self._tokens[slot, first:end]
        offsets = [position - first for position in wanted if begin <= position < end]
        logits, new = self._step.run(tokens, self._kv[:, slot, :, :first], offsets)
        self._kv[:, slot, :, begin:end] = new[:, :, begin - first : end - first]
        return logits

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

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        """See `Engine`."""
        check_open(self._closed)
        check_range(slot, begin, end, self._lengths, self._facts)
        arrays = (self._kv[:, slot, :, begin:end].copy(), self._tokens[slot, begin:end].copy())
        for array in arrays:
            array.flags.writeable = False
        return KVSegment(self._facts.fingerprint, begin, end - begin, arrays, token_axes=(2, 0))

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """See `Engine`."""
        check_open(self._closed)
        used = check_segments(slot, segments, length, self._facts)
        for segment, end in used:
            kv, tokens = segment.arrays
            self._kv[:, slot, :, segment.begin : end] = kv[:, :, : end - segment.begin]
            self._tokens[slot, segment.begin : end] = tokens[: end - segment.begin]
        self._lengths[slot] = used[-1][1] if used else 0

    def fork(self, slots: int) -> PastEngine:
        """See `Engine`."""
        return PastEngine(self._model, slots, self._facts.capacity)

    def close(self) -> None:
        """See `Engine`."""
        with self._model.lock:  # a step that runs now still writes to the KV state
            self._closed = True
            self._kv = empty_kv((0, 0, 0, 0, 0), np.dtype(np.float32))


def _parts(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut at the borders of pages."""
    while begin < end:
        border = min(end, begin - begin % PAGE + PAGE)
        yield begin, border
        begin = border
