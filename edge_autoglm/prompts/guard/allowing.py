"""Whether a text is one of those that a rule allows; in time linear in its length."""

from __future__ import annotations

import re

from edge_autoglm.prompts.guard.rules import Allowed


def disallowed(text: str, allowed: Allowed) -> str | None:
    """Why a text is not let through, as the rest of a sentence; ``None`` if it is."""
    if allowed.values:
        return None if text in allowed.values else "is not one of the values that the task allows"
    if allowed.max_chars is not None and len(text) > allowed.max_chars:
        return f"has {len(text)} characters, the task allows {allowed.max_chars}"
    match = _pattern(allowed.characters).match(text)
    end = 0 if match is None else match.end()
    if end == len(text):
        return None
    return f"has the character {text[end]!r} at position {end}, which the task does not allow"


def character_set(characters: str) -> tuple[tuple[str, str], ...]:
    """Ranges, ends included, of a set of characters such as ``A-Z0-9 .-``.

    Raises:
        ValueError: A range runs downwards; the message goes on where the set's name stops.
    """
    ranges: list[tuple[str, str]] = []
    i = 0
    while i < len(characters):
        first = last = characters[i]
        if characters[i + 1 : i + 2] == "-" and i + 2 < len(characters):
            last = characters[i + 2]
            i += 2
        if last < first:
            raise ValueError(f"in which the range {first}-{last} runs downwards")
        ranges.append((first, last))
        i += 1
    return tuple(ranges)


def _pattern(characters: str) -> re.Pattern[str]:
    """One character class, repeated: a match is one scan, without backtracking."""
    inside = "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in character_set(characters))
    return re.compile(f"[{inside}]*")
