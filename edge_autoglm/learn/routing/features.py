"""What a router sees of a text: hashed words, what they begin with, pairs of them, and the text's shape."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np

from edge_autoglm.learn.context.text import describe_text
from edge_autoglm.learn.context.words import word_sequence
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import hash_name

MAX_CHARS_READ = 2048
"""Of a longer text, its beginning and its end are read, each half of that: an intent is told there."""

_OPENING, _CLOSING = 8, 4
"""Words at the beginning and at the end that count as such once more."""

_STEM = 5
"""Characters that ``summary``, ``summarise`` and ``summarize`` have in common; longer words count by these too."""

_SHAPE = ("questions", "lines", "quotations", "url", "script:", "language:")
_SHAPE_SCALE = 0.35
"""Measured on `benchmarks/routing`: at 1 a few features that all texts share drown the words."""

_LONG = 12.0
"""Binary logarithm of the characters of a long text."""

_ASKS = re.compile(r"[?？]\s*$")


def route_features(text: str, key: bytes) -> Features:
    """Describe a text, so that it cannot be read back: all names are hashed under the key.

    At a norm of 1 together: words, their stems, pairs of neighbours, words at the beginning and at the end as such.
    Beside them, smaller: the shares of scripts and languages, the length, whether it asks.
    """
    names = _names(word_sequence(_read(text)))
    shape = _shape(text)
    each = 1.0 / math.sqrt(len(names) or 1)
    values = [*[each] * len(names), *(_SHAPE_SCALE * value for value in shape.values())]
    indices = [hash_name(f"route:{name}", key) for name in (*names, *shape)]
    # Of single precision, so that a lesson read from the disk is the very same.
    return Features(np.array(indices, dtype=np.int64), np.array(values, dtype=np.float32).astype(np.float64))


def _read(text: str) -> str:
    half = MAX_CHARS_READ // 2
    return text if len(text) <= MAX_CHARS_READ else f"{text[:half]}\n{text[-half:]}"


def _names(words: list[str]) -> list[str]:
    opening = words[:_OPENING]
    found = [f"word={word}" for word in words]
    found += [f"stem={word[:_STEM]}" for word in words if len(word) > _STEM]
    found += [f"pair={one} {other}" for one, other in pairwise(words)]
    found += [f"opening={word}" for word in opening]
    found += [f"opening stem={word[:_STEM]}" for word in opening if len(word) > _STEM]
    found += [f"closing={word}" for word in words[-_CLOSING:]]
    return list(dict.fromkeys(found))


def _shape(text: str) -> dict[str, float]:
    described = describe_text({"text": _read(text)})
    shape = {name: min(1.0, value) for name, value in described.items() if name.startswith(_SHAPE)}
    shape["length"] = min(1.0, math.log2(1 + len(text)) / _LONG)
    if _ASKS.search(text[-16:]):
        shape["asks"] = 1.0
    return shape
