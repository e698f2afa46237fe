"""Answers that are none."""

from __future__ import annotations

NO_CHARACTER = "\ufffd"
"""What invalid UTF-8 decodes to."""
_TAIL = 120
"""Characters at the end of a text that are looked at."""
_LONGEST_PERIOD = 24


def is_garbage(text: str) -> bool:
    """Whether a text is empty, no text, or ends in a loop.

    >>> is_garbage(" "), is_garbage("the the the " * 20), is_garbage("It was late, and the rain had stopped.")
    (True, True, False)
    """
    if not text.strip().strip(NO_CHARACTER):
        return True
    tail = text[-_TAIL:]
    if len(tail) < _TAIL:
        return False
    return any(tail[size:] == tail[:-size] for size in range(1, _LONGEST_PERIOD + 1))
