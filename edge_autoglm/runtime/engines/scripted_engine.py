"""A small deterministic engine without weights, for tests, documentation and development away from a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVSegment, Logits
from edge_autoglm.runtime.engines.slot_checks import (
    check_chunks,
    check_held,
    check_open,
    check_range,
    check_segments,
    check_slot,
)

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_SCRIPTED_LOGIT = 30.0
"""Far above the hashed logits, which lie in [-4, 4)."""


def _mix(value: int) -> int:
    """Finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


def _mix_array(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """``_mix`` of every element; uint64 arithmetic wraps."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_MIX_1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_MIX_2)
    return values ^ (values >> np.uint64(31))


class ScriptedEngine:
    """Logits are a pure function of the tokens that a slot holds, computed with integers: equal on every platform.

    Without a script they are a hash of the whole sequence. A script makes chosen continuations certain, so that a test
    predicts the answer in plain Python.

    Args:
        vocab_size: Number of token ids.
        slots: Number of KV slots.
        capacity: Tokens a slot can hold.
        seed: Stands for the weights.
        script: Next token by what the sequence ends with; the longest matching key wins, ``()`` matches always.

    Raises:
        EngineError: A size is below 1, or the script names a token outside the vocabulary.

    Example:
        >>> engine = ScriptedEngine(vocab_size=16, script={(3,): 4, (3, 4): 5})
        >>> [logits] = engine.forward([Chunk(slot=0, tokens=[1, 3, 4], logits_at=[1, 2])])
        >>> logits.argmax(axis=1).tolist()
        [4, 5]
    """

    def __init__(
        self,
        vocab_size: int,
        slots: int = 4,
        capacity: int = 512,
        seed: int = 0,
        script: Mapping[tuple[int, ...], int] | None = None,
    ) -> None:
        if min(vocab_size, slots, capacity) < 1:
            raise EngineError(
                f"vocab_size {vocab_size}, slots {slots} and capacity {capacity} are not all positive",
                "Give at least 1 for each.",
            )
        self._script = dict(script or {})
        outside = [token for token in self._script.values() if not 0 <= token < vocab_size]
        if outside:
            raise EngineError(
                f"the script answers token id {outside[0]}, outside the vocabulary",
                f"Give ids from 0 to {vocab_size - 1}.",
            )
        self._suffix_lengths = sorted({len(suffix) for suffix in self._script}, reverse=True)
        self._seed = seed
        self._facts = EngineFacts(
            vocab_size=vocab_size,
            slots=slots,
            capacity=capacity,
            kv_bytes_per_token=8,
            fingerprint=_fingerprint(vocab_size, seed, self._script),
            exact_decode=True,
        )
        self._start = _mix((seed * _GOLDEN + 1) & _MASK)
        self._columns = np.arange(1, vocab_size + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        self._tokens: list[list[int]] = [[] for _ in range(slots)]
        self._hashes: list[list[int]] = [[] for _ in range(slots)]
        self._closed = False

    @property
    def contended(self) -> bool:
        """See `Engine`: its steps cost nothing."""
        return False

    @property
    def facts(self) -> EngineFacts:
        """Constant facts."""
        return self._facts

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """Append each chunk to its slot; see ``Engine.forward``."""
        check_open(self._closed)
        check_chunks(chunks, self._lengths(), self._facts)
        return [self._run(chunk) for chunk in chunks]

    def length(self, slot: int) -> int:
        """Tokens that the slot holds."""
        check_open(self._closed)
        check_slot(slot, self._facts)
        return len(self._tokens[slot])

    def truncate(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        check_open(self._closed)
        check_held(slot, length, self._lengths(), self._facts)
        del self._tokens[slot][length:]
        del self._hashes[slot][length:]

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        """Copy tokens ``begin`` to ``end`` of the slot."""
        check_open(self._closed)
        check_range(slot, begin, end, self._lengths(), self._facts)
        tokens = np.array(self._tokens[slot][begin:end], dtype=np.int64)
        tokens.flags.writeable = False
        return KVSegment(self._facts.fingerprint, begin, end - begin, (tokens,), token_axes=(0,))

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        """Replace the slot's content by the first ``length`` tokens of some segments."""
        check_open(self._closed)
        used = check_segments(slot, segments, length, self._facts)
        tokens = [int(token) for segment, end in used for token in np.asarray(segment.arrays[0])[: end - segment.begin]]
        self._tokens[slot].clear()
        self._hashes[slot].clear()
        self._append(slot, tokens)

    def fork(self, slots: int) -> ScriptedEngine:
        """The same function with empty slots of its own."""
        check_open(self._closed)
        return ScriptedEngine(self._facts.vocab_size, slots, self._facts.capacity, self._seed, self._script)

    def close(self) -> None:
        """Refuse every later call that needs the slots."""
        self._closed = True

    def _lengths(self) -> list[int]:
        return [len(tokens) for tokens in self._tokens]

    def _append(self, slot: int, tokens: Sequence[int]) -> None:
        hashes = self._hashes[slot]
        value = hashes[-1] if hashes else self._start
        for token in tokens:
            value = _mix((value + (token + 1) * _GOLDEN) & _MASK)
            hashes.append(value)
        self._tokens[slot].extend(tokens)

    def _run(self, chunk: Chunk) -> Logits:
        begin = len(self._tokens[chunk.slot])
        self._append(chunk.slot, [int(token) for token in chunk.tokens])
        rows = np.empty((len(chunk.positions()), self._facts.vocab_size), dtype=np.float32)
        for row, offset in zip(rows, chunk.positions(), strict=True):
            row[:] = self._logits(chunk.slot, begin + offset)
        return rows

    def _logits(self, slot: int, position: int) -> npt.NDArray[np.float32]:
        mixed = _mix_array(np.uint64(self._hashes[slot][position]) ^ self._columns)
        # 24 bits are exact in float32, so is their scaling by a power of two: no platform rounds differently.
        logits = (mixed >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-21) - np.float32(4.0)
        answer = self._scripted(self._tokens[slot][: position + 1])
        if answer is not None:
            logits[answer] = _SCRIPTED_LOGIT
        return logits

    def _scripted(self, tokens: list[int]) -> int | None:
        for length in self._suffix_lengths:
            answer = self._script.get(tuple(tokens[len(tokens) - length :])) if length <= len(tokens) else None
            if answer is not None:
                return answer
        return None


def _fingerprint(vocab_size: int, seed: int, script: Mapping[tuple[int, ...], int]) -> str:
    content = repr((vocab_size, seed, sorted(script.items())))
    return "scripted-" + hashlib.sha256(content.encode()).hexdigest()[:16]
