"""The words of a text under a keyed hash, from which they cannot be read back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge_autoglm.learn.hashing import hash_name

MAX_WORDS = 32

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W\d_{_UNSPACED}]+")
_UNSPACED_START = re.compile(rf"[{_UNSPACED}]")


def word_hashes(texts: Iterable[str], key: bytes) -> dict[int, str]:
    """What the hashed words of texts stand for; in memory only, and only for who has the texts anyway."""
    parts = {part for text in texts for word in _WORD.findall(text.lower()) for part in _parts(word)}
    return {hash_name(f"word={part}", key): part for part in parts}


def hashed_words(texts: Iterable[str], key: bytes) -> list[int]:
    """Hashed words of the texts, at most ``MAX_WORDS``.

    Which ones are kept of a longer text depends on the words alone (those of the smallest hashes, Broder's bottom-k
    sample), so that two texts about the same thing still share features.
    """
    return sorted(word_hashes(texts, key))[:MAX_WORDS]


def _parts(word: str) -> list[str]:
    """The word itself; of a run in a script without spaces, its pairs of neighbouring characters."""
    if len(word) > 2 and _UNSPACED_START.match(word):
        return [word[start : start + 2] for start in range(len(word) - 1)]
    return [word]


def word_sequence(text: str) -> list[str]:
    """The words of a text in their order, as they are hashed."""
    return [part for word in _WORD.findall(text.lower()) for part in _parts(word)]
