"""What the policy sees of a request: a sparse vector of hashed features, from which no text can be read back.

Three groups, each scaled to a fixed Euclidean norm, so that a long text or a rich context does not drown what is known
of the arms as such (their biases carry the value 1):

- the task: one indicator;
- the request's shape (length, script, digits, question marks, code ...) and the app's own context;
- its words, under a keyed hash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.hashing import hash_name

ContextValue = float | str | bool

SHAPE_NORM = 1.0
WORDS_NORM = 0.5
MAX_WORDS = 32
MAX_CHARS_READ = 4096
"""Words and shape are those of the first so many characters of each input; lengths count them all."""
MAX_CONTEXT = 64
LARGEST_VALUE = 1e6

_INDICATORS = {
    "digits": re.compile(r"\d"),
    "question": re.compile(r"[?？¿]"),
    "exclamation": re.compile(r"[!！¡]"),
    "quotation": re.compile(r"[\"“”«»「」]"),
    "shouting": re.compile(r"\b[A-Z]{4,}\b"),
    "mention": re.compile(r"(?<!\w)[@#]\w"),
    "url": re.compile(r"https?://|\bwww\."),
    "emoji": re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]"),
    "lines": re.compile(r"\n"),
    "code": re.compile(r"[{};]\s*$|[=!]=|->|=>|\w\(\)|^\s*(?:def|class|import|return|#include|SELECT)\b", re.MULTILINE),
}
_SCRIPTS = {
    "latin": re.compile("[A-Za-z\u00c0-\u024f]"),
    "han": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "kana": re.compile("[\u3040-\u30ff]"),
    "hangul": re.compile("[\uac00-\ud7af]"),
    "cyrillic": re.compile("[\u0400-\u04ff]"),
    "greek": re.compile("[\u0370-\u03ff]"),
    "arabic": re.compile("[\u0600-\u06ff]"),
    "hebrew": re.compile("[\u0590-\u05ff]"),
    "devanagari": re.compile("[\u0900-\u097f]"),
    "thai": re.compile("[\u0e00-\u0e7f]"),
}
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W\d_{_UNSPACED}]+")
_UNSPACED_START = re.compile(rf"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What a policy sees of a request; read-only copies are kept, so it can be shared between threads.

    Attributes:
        indices: Hashed names of the sparse features, int64 ``[features]``; one that occurs twice stands for the sum of
            its values.
        values: Theirs, float64 ``[features]``, finite, at most a million in size.
        task: Name of the task; nothing is shared between tasks.
        names: Of the dense features, which nearly every request of the task has; all different.
        dense: Their values as they were measured, float64 ``[names]``, under the same limit; a model standardises them.

    Raises:
        InputRejected: The arrays do not match, or a value is not a usable number.
    """

    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    task: str = ""
    names: tuple[str, ...] = ()
    dense: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        indices = np.array(self.indices, dtype=np.int64)
        values, dense = np.array(self.values, dtype=np.float64), np.array(self.dense, dtype=np.float64)
        if indices.shape != values.shape or indices.ndim != 1:
            raise InputRejected(
                f"the features have indices of shape {indices.shape} and values of shape {values.shape}",
                "Give two vectors of equal length.",
            )
        if dense.shape != (len(self.names),) or len(set(self.names)) != len(self.names):
            raise InputRejected(
                f"there are {len(self.names)} names for dense features of shape {dense.shape}, or one occurs twice",
                "Give a name of its own to each value.",
            )
        # The negated comparison is true for NaN as well.
        if not ((np.abs(values) <= LARGEST_VALUE).all() and (np.abs(dense) <= LARGEST_VALUE).all()):
            raise InputRejected(
                f"a feature's value is NaN, infinite or beyond {LARGEST_VALUE:g}", "Scale or leave out that feature."
            )
        indices.flags.writeable = values.flags.writeable = dense.flags.writeable = False
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "dense", dense)


def featurise(
    task: str, inputs: Mapping[str, str], context: Mapping[str, ContextValue] | None, key: bytes = b""
) -> Features:
    """Describe a request.

    Args:
        task: Name of the task.
        inputs: The task's inputs, name -> text.
        context: What the app knows beyond the text, such as ``{"battery": 0.4, "screen": "small", "driving": True}``.
            Numbers are best scaled to about -1..1; larger ones are compressed logarithmically.
        key: Secret under which words and textual context values are hashed, up to 64 bytes.

    Returns:
        At most ``MAX_WORDS`` words, two dozen features of shape, and the context.

    Raises:
        InputRejected: A context value is of another type, NaN or infinite, or there are more than ``MAX_CONTEXT``.

    >>> features = featurise("sentiment", {"text": "What a film!"}, {"driving": True}, key=b"secret")
    >>> len(features.indices), bool(features.values[0] == 1.0)
    (8, True)
    """
    texts = {name: inputs[name] for name in sorted(inputs)}
    opened = {name: text[:MAX_CHARS_READ] for name, text in texts.items()}
    shape = dict.fromkeys(map(hash_name, _shape(texts, opened)), 1.0) | _context(context or {}, key)
    words = dict.fromkeys(_words(opened.values(), key), 1.0)
    groups = {hash_name(f"task={task}"): 1.0}, _scaled(shape, SHAPE_NORM), _scaled(words, WORDS_NORM)
    return Features(
        np.array([index for group in groups for index in group], dtype=np.int64),
        np.array([value for group in groups for value in group.values()], dtype=np.float64),
    )


def _scaled(group: Mapping[int, float], norm: float) -> dict[int, float]:
    length = math.sqrt(sum(value * value for value in group.values()))
    # Four digits are plenty, and keep the journal short. A group without any size has nothing to scale.
    return {index: round(norm * value / length, 4) for index, value in group.items()} if length else {}


def _shape(texts: Mapping[str, str], opened: Mapping[str, str]) -> list[str]:
    """Names of the indicators that hold."""
    names = [f"length:{name}={len(text).bit_length()}" for name, text in texts.items()]
    text = "\n".join(opened.values())
    names += [name for name, pattern in _INDICATORS.items() if pattern.search(text)]
    counts = {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS.items()}
    letters = sum(counts.values())
    main = max(counts, key=lambda script: counts[script]) if letters else "none"
    names.append(f"script={main}")
    if letters and counts[main] < 0.8 * letters:
        names.append("script:mixed")
    return names


def _context(context: Mapping[str, ContextValue], key: bytes) -> dict[int, float]:
    if len(context) > MAX_CONTEXT:
        raise InputRejected(f"the context has {len(context)} entries", f"Give at most {MAX_CONTEXT}.")
    hashed: dict[int, float] = {}
    for name, value in context.items():
        if isinstance(value, bool):
            hashed[hash_name(f"context:{name}={value}")] = 1.0
        elif isinstance(value, str):
            hashed[hash_name(f"context:{name}={value}", key)] = 1.0
        else:
            hashed[hash_name(f"context:{name}")] = _compressed(name, value)
    return hashed


def _compressed(name: str, value: object) -> float:
    """``value`` itself up to 1 in size, growing with its logarithm beyond."""
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


def _words(texts: Iterable[str], key: bytes) -> list[int]:
    """Hashed words of the texts, at most ``MAX_WORDS``.

    Which ones are kept of a longer text depends on the words alone (those of the smallest hashes, Broder's bottom-k
    sample), so that two texts about the same thing still share features.
    """
    hashed: set[int] = set()
    for text in texts:
        for word in _WORD.findall(text.lower()):
            hashed.update(hash_name(f"word={part}", key) for part in _parts(word))
    return sorted(hashed)[:MAX_WORDS]


def _parts(word: str) -> list[str]:
    """The word itself; of a run in a script without spaces, its pairs of neighbouring characters."""
    if len(word) > 2 and _UNSPACED_START.match(word):
        return [word[start : start + 2] for start in range(len(word) - 1)]
    return [word]
