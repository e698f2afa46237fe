"""Validation that every engine does the same way, before it changes anything."""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.errors import EngineError, SlotFull
from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVPrefix


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


def check_prefix(slot: int, prefix: KVPrefix, length: int, facts: EngineFacts) -> None:
    """The first ``length`` tokens of the prefix can be copied into the slot."""
    check_slot(slot, facts)
    if prefix.fingerprint != facts.fingerprint:
        raise EngineError(
            f"the KV prefix belongs to engine {prefix.fingerprint}, this one is {facts.fingerprint}",
            "Compute the prefix anew with this engine.",
        )
    if not 0 <= length <= prefix.length:
        raise EngineError(f"length {length} is outside the prefix of {prefix.length} tokens", "Name a length up to it.")
    if length > facts.capacity:
        raise SlotFull(
            f"a prefix of {length} tokens does not fit a slot of {facts.capacity}",
            "Open the runtime with a larger context.",
        )
