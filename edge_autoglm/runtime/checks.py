"""Checks that every engine makes before it changes anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_autoglm.errors import EngineError, SlotFull
from edge_autoglm.runtime.engine import Chunk, EngineFacts, KVPrefix


def check_slot(facts: EngineFacts, slot: int) -> None:
    """Refuse a slot that the engine does not have.

    Raises:
        EngineError: There is no such slot.
    """
    if not 0 <= slot < facts.slots:
        raise EngineError(f"slot {slot} does not exist", f"Name one of the slots 0 to {facts.slots - 1}.")


def check_chunks(facts: EngineFacts, chunks: Sequence[Chunk], length: Callable[[int], int]) -> None:
    """Refuse a ``forward`` call that cannot be run as a whole.

    Args:
        facts: Of the engine.
        chunks: The call's argument.
        length: Tokens that a slot holds.

    Raises:
        EngineError: Unknown slot, a slot named twice, no tokens, a token id or a position out of range.
        SlotFull: A chunk does not fit its slot.
    """
    seen: set[int] = set()
    for chunk in chunks:
        check_slot(facts, chunk.slot)
        if chunk.slot in seen:
            raise EngineError(f"slot {chunk.slot} is named twice in one call", "Join its tokens into one chunk.")
        seen.add(chunk.slot)
        _check_tokens(facts, chunk)
    for chunk in chunks:
        held = length(chunk.slot)
        if held + len(chunk.tokens) > facts.capacity:
            raise SlotFull(
                f"slot {chunk.slot} holds {held} of {facts.capacity} tokens and {len(chunk.tokens)} more do not fit",
                "Truncate the slot, or open the engine with a larger capacity.",
            )


def _check_tokens(facts: EngineFacts, chunk: Chunk) -> None:
    if not len(chunk.tokens):
        raise EngineError(f"the chunk for slot {chunk.slot} has no tokens", "Give at least one token id.")
    outside = next((token for token in chunk.tokens if not 0 <= token < facts.vocab_size), None)
    if outside is not None:
        raise EngineError(
            f"token id {outside} for slot {chunk.slot} is outside the vocabulary",
            f"Give ids from 0 to {facts.vocab_size - 1}; was the text encoded with another model's tokenizer?",
        )
    positions = chunk.positions()
    ascending = all(left < right for left, right in zip(positions, positions[1:], strict=False))
    if not ascending or (len(positions) and not 0 <= positions[0] <= positions[-1] < len(chunk.tokens)):
        raise EngineError(
            f"logits_at {tuple(positions)} for slot {chunk.slot} are not ascending offsets into its tokens",
            f"Give ascending offsets from 0 to {len(chunk.tokens) - 1}.",
        )


def check_truncate(slot: int, length: int, held: int) -> None:
    """Refuse a length that the slot does not hold (for ``truncate`` and ``copy_out``).

    Raises:
        EngineError: ``length`` is negative or beyond ``held``.
    """
    if not 0 <= length <= held:
        raise EngineError(f"slot {slot} holds {held} tokens, not {length}", f"Ask for 0 to {held} tokens.")


def check_prefix(facts: EngineFacts, prefix: KVPrefix, length: int | None) -> int:
    """Refuse a prefix that cannot be copied in.

    Returns:
        The number of tokens to copy.

    Raises:
        EngineError: The prefix is of another fingerprint, or shorter than ``length``.
        SlotFull: It does not fit a slot.
    """
    if prefix.fingerprint != facts.fingerprint:
        raise EngineError(
            f"the KV prefix was made by engine {prefix.fingerprint}, this one is {facts.fingerprint}",
            "Prefill the prefix again on this engine.",
        )
    wanted = prefix.length if length is None else length
    if not 0 <= wanted <= prefix.length:
        raise EngineError(
            f"the KV prefix holds {prefix.length} tokens, not {wanted}", f"Ask for 0 to {prefix.length} tokens."
        )
    if wanted > facts.capacity:
        raise SlotFull(
            f"the KV prefix of {wanted} tokens does not fit a slot of {facts.capacity}",
            "Copy in fewer tokens, or open the engine with a larger capacity.",
        )
    return wanted
