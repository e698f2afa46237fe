"""Putting the features of a request together."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np

from edge_autoglm.learn.context.app import ContextValue, check_size, dense_context, hashed_context
from edge_autoglm.learn.context.text import MAX_CHARS_READ, describe_text
from edge_autoglm.learn.context.words import hashed_words
from edge_autoglm.learn.features import Features

WORDS = "words"
_WORDS_NORM = 1.0


def featurise(
    task: str,
    inputs: Mapping[str, str],
    context: Mapping[str, ContextValue] | None = None,
    key: bytes = b"",
    *,
    device: Mapping[str, float] | None = None,
    now: datetime | None = None,
    forbidden: Collection[str] = (),
) -> Features:
    """Describe a request, so that no text can be read back.

    Args:
        task: Name of the task.
        inputs: The task's inputs, name -> text.
        context: What the app knows beyond the text, such as ``{"turn": 3, "screen": "small", "driving": True}``.
            Numbers are best scaled to about -1..1; larger ones are compressed logarithmically.
        key: Secret under which words and textual context values are hashed, up to 64 bytes.
        device: Its conditions, see ``device.conditions``.
        now: Local time.
        forbidden: Names of features to leave out: ``words``, or a name with or without what follows its colon
            (``script`` stands for every ``script:NAME``; ``app:age`` for one value of the app).

    Returns:
        Dense: the text's shape, the clock, the device, the app's numbers and bools. Sparse: words and the app's texts.

    Raises:
        InputRejected: A context value is of another type, NaN or infinite, or there are too many.

    >>> features = featurise("sentiment", {"text": "A fine film!"}, {"driving": True}, key=b"secret")
    >>> features.names
    ('app:driving', 'capitals', 'exclamations', 'length', 'script:latin')
    >>> len(features.indices)
    3
    """
    context = {name: value for name, value in (context or {}).items() if not _is_forbidden(f"app:{name}", forbidden)}
    check_size(context)
    dense = {**describe_text(inputs), **_clock(now), **(device or {}), **dense_context(context)}
    names = tuple(sorted(name for name in dense if not _is_forbidden(name, forbidden)))
    words = [] if WORDS in forbidden else hashed_words((text[:MAX_CHARS_READ] for text in inputs.values()), key)
    texts = hashed_context(context, key)
    values = [*[_WORDS_NORM / math.sqrt(len(words) or 1)] * len(words), *[1.0] * len(texts)]
    return Features(
        indices=np.array([*words, *texts], dtype=np.int64),
        values=np.array(values).round(4),
        task=task,
        names=names,
        dense=np.array([dense[name] for name in names]),
    )


def _clock(now: datetime | None) -> dict[str, float]:
    """The hour on a circle, so that midnight has one neighbourhood, and whether it is a Saturday or Sunday."""
    if now is None:
        return {}
    angle = 2.0 * math.pi * (now.hour + now.minute / 60.0) / 24.0
    clock = {"hour:sin": math.sin(angle), "hour:cos": math.cos(angle), "weekend": float(now.weekday() >= 5)}
    return {name: round(value, 4) for name, value in clock.items()}


def _is_forbidden(name: str, forbidden: Collection[str]) -> bool:
    return name in forbidden or name.partition(":")[0] in forbidden
