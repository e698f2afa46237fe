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

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.fair_lock import FairLock
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.past_step import PastStep
from edge_autoglm.runtime.engines.slot_checks import check_chunks, check_open
from edge_autoglm.runtime.engines.slot_engine import SlotEngine, Views

PAGE = 32
"""Tokens. Twice as many would prefill long prompts faster and make a short rest behind a prefix twice as dear."""
_PADDING = 0
"""Any id of the vocabulary; nothing sees the padding."""


class PastEngine(SlotEngine):
    """An `Engine` on the CPU for the *past* form of an exported graph.

    Beside the KV it keeps the token ids ``[slots, capacity]``. A run takes a copy of the live part of one slot; the
    chunks of a call run one after the other.
    """

    _token_axes = (*SlotEngine._token_axes, 0)

    def __init__(self, model: OrtModel, slots: int, capacity: int) -> None:
        super().__init__(model, slots, capacity, exact_decode=False, page=PAGE)
        self._step = PastStep(model)
        self._tokens = np.zeros((slots, capacity), dtype=np.int64)

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
    ) -> PastEngine:
        """Load a graph and make an engine over it; arguments and errors are those of ``OrtEngine.load``."""
        model = OrtModel(graph, fingerprint, context_length, threads, turns)
        return cls(model, slots, min(capacity, context_length))

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """See `Engine`."""
        check_chunks(chunks, self._lengths, self._facts)
        with self._model.lock:
            self._model.lock.note(self)
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

    def fork(self, slots: int) -> PastEngine:
        """See `Engine`."""
        return PastEngine(self._model, slots, self._facts.capacity)

    def _views(self, slot: int) -> Views:
        return (*super()._views(slot), self._tokens[slot])


def _parts(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut at the borders of pages."""
    while begin < end:
        border = min(end, begin - begin % PAGE + PAGE)
        yield begin, border
        begin = border
