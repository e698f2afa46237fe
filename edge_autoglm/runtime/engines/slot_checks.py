"""Validation that every engine does the same way, before it changes anything."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.errors import EngineError, SlotFull
from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVSegment


def check_open(closed: bool) -> None:
    """The engine still has its KV state."""
    if closed:
        raise EngineError("the engine is closed", "Open it again, or keep it open until the last request ends.")


def check_slot(slot: int, facts: EngineFacts) -> None:
    """The slot exists."""
    if not 0 <= slot < facts.slots:
        raise EngineError(f"slot {slot} does not exist", f"Use 0 to {facts.slots - 1}.")


def check_chunks(chunks: Sequence[Chunk], lengths: Sequence[int], facts: EngineFacts) -> None:
    """A whole ``forward`` call is sound; ``lengths`` is what each slot of the engine holds."""
    slots = [chunk.slot for chunk in chunks]
    if len(set(slots)) != len(slots):
        raise EngineError(f"slots {slots} name one slot twice", "Send one chunk a slot.")
    for chunk in chunks:
        check_slot(chunk.slot, facts)
        _check_chunk(chunk, lengths[chunk.slot], facts)


def _check_chunk(chunk: Chunk, held: int, facts: EngineFacts) -> None:
    count = len(chunk.tokens)
    if not count:
        raise EngineError(f"the chunk for slot {chunk.slot} has no tokens", "Send at least one.")
    if min(chunk.tokens) < 0 or max(chunk.tokens) >= facts.vocab_size:
        raise EngineError(
            f"the chunk for slot {chunk.slot} has a token id outside the vocabulary of {facts.vocab_size}",
            "Use the tokenizer that belongs to the model.",
        )
    positions = list(chunk.positions())
    if positions != sorted(set(positions)) or any(not 0 <= position < count for position in positions):
        raise EngineError(
            f"logits_at {positions} are not ascending offsets into the {count} tokens of the chunk",
            f"Name offsets from 0 to {count - 1}, each once.",
        )
    if held + count > facts.capacity:
        raise SlotFull(
            f"slot {chunk.slot} holds {held} of {facts.capacity} tokens, {count} more do not fit",
            "Shorten the prompt, or open the runtime with a larger context.",
        )


def check_held(slot: int, length: int, lengths: Sequence[int], facts: EngineFacts) -> None:
    """The slot holds at least ``length`` tokens."""
    check_slot(slot, facts)
    if not 0 <= length <= lengths[slot]:
        raise EngineError(
            f"length {length} is outside what slot {slot} holds ({lengths[slot]} tokens)",
            "Name a length from 0 to that.",
        )


def check_range(slot: int, begin: int, end: int, lengths: Sequence[int], facts: EngineFacts) -> None:
    """The slot holds tokens ``begin`` to ``end``."""
    check_held(slot, end, lengths, facts)
    if not 0 <= begin <= end:
        raise EngineError(f"tokens {begin} to {end} of slot {slot} are no range", f"Begin between 0 and {end}.")


def check_segments(
    slot: int, segments: Sequence[KVSegment], length: int | None, facts: EngineFacts
) -> list[tuple[KVSegment, int]]:
    """The first ``length`` tokens of the segments can be copied into the slot.

    Returns:
        The segments to copy, each with the position behind the last token to take of it.
    """
    check_slot(slot, facts)
    end = _check_contiguous(segments, facts)
    count = end if length is None else length
    if not 0 <= count <= end:
        raise EngineError(f"length {count} is outside segments of {end} tokens", "Name a length up to it.")
    if count > facts.capacity:
        raise SlotFull(
            f"a prefix of {count} tokens does not fit a slot of {facts.capacity}",
            "Open the runtime with a larger context.",
        )
    return [(segment, min(segment.end, count)) for segment in segments if segment.begin < count]


def _check_contiguous(segments: Sequence[KVSegment], facts: EngineFacts) -> int:
    """The segments are this engine's and follow one another from token 0; where they end."""
    end = 0
    for segment in segments:
        if segment.fingerprint != facts.fingerprint:
            raise EngineError(
                f"a KV segment belongs to engine {segment.fingerprint}, this one is {facts.fingerprint}",
                "Compute the prefix anew with this engine.",
            )
        if segment.begin != end:
            raise EngineError(
                f"a KV segment begins at token {segment.begin}, {end} was expected",
                "Give all segments from token 0 on, in order.",
            )
        end = segment.end
    return end
