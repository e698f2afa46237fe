"""What the app says of a request beyond its text."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.hashing import hash_name

ContextValue = float | str | bool

MAX_CONTEXT = 64


def check_size(context: Mapping[str, ContextValue]) -> None:
    """Raise ``InputRejected`` where there are more than ``MAX_CONTEXT`` entries."""
    if len(context) > MAX_CONTEXT:
        raise InputRejected(f"the context has {len(context)} entries", f"Give at most {MAX_CONTEXT}.")


def dense_context(context: Mapping[str, ContextValue]) -> dict[str, float]:
    """Numbers and bools, as ``app:NAME``.

    Raises:
        InputRejected: A value is neither a finite number nor a text nor a bool.

    >>> dense_context({"battery": 0.4, "driving": True, "screen": "small"})
    {'app:battery': 0.4, 'app:driving': 1.0}
    """
    return {f"app:{name}": _compressed(name, value) for name, value in context.items() if not isinstance(value, str)}


def hashed_context(context: Mapping[str, ContextValue], key: bytes) -> list[int]:
    """Textual values, hashed with their names under the key."""
    return [hash_name(f"context:{name}={value}", key) for name, value in context.items() if isinstance(value, str)]


def _compressed(name: str, value: object) -> float:
    """``value`` itself up to 1 in size, growing with its logarithm beyond: an outlier does not drown the others."""
    try:
        number = float(value) if isinstance(value, int | float | np.integer | np.floating) else math.nan
    except OverflowError:  # an int beyond the largest float
        number = math.inf
    if not math.isfinite(number):
        raise InputRejected(
            f"the context's {name!r} is not a usable value",
            "Give a finite number, a text or a bool, or leave it out.",
        )
    size = abs(number)
    return math.copysign(size if size <= 1.0 else 1.0 + math.log(size), number)
