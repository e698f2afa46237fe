"""Ids of virtual tokens: places of a prompt whose KV comes from trained embeddings, not from the vocabulary.

They stand in front of a prompt, and are negative: no engine takes them, so that their KV is held or the request fails.
Which negative numbers they are depends on what is held, so that a prefix tree keeps two soft prompts apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_autoglm.errors import EngineError

VIRTUAL = range(-(2**62), -(2**61))
"""Where these ids lie: far from anything that a slip makes of an ordinary one."""
_DIGITS = 15
"""Hexadecimal digits of a digest: 60 bits, which leave as much room for the tokens behind the first one."""


def virtual_tokens(digest: str, count: int) -> tuple[int, ...]:
    """The ids of a soft prompt.

    Args:
        digest: Of its KV, in hexadecimal.
        count: How many there are.
    """
    first = VIRTUAL.stop - 1 - int(digest[:_DIGITS], 16)
    return tuple(range(first, first - count, -1))


def count_virtual(tokens: Sequence[int]) -> int:
    """How many virtual tokens a prompt begins with."""
    return next((place for place, token in enumerate(tokens) if token >= 0), len(tokens))


def check_held(tokens: Sequence[int], held: int) -> None:
    """A prompt can run behind its first ``held`` tokens.

    Raises:
        EngineError: A virtual token is left, which nothing can run.
    """
    if held < len(tokens) and tokens[held] < 0:
        raise EngineError(
            f"of {count_virtual(tokens)} virtual tokens of a soft prompt, the KV of {held} is held",
            "Open the runtime again; its soft prompts are loaded then.",
        )
