"""The shape of a text, without its words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from edge_autoglm.learn.context.language import language_shares

MAX_CHARS_READ = 4096
"""Shape and words are those of the first so many characters of each input; lengths count them all."""

_COUNTED = {
    "questions": re.compile(r"[?？¿]"),
    "exclamations": re.compile(r"[!！¡]"),
    "quotations": re.compile(r"[\"“”«»「」]"),
    "lines": re.compile(r"\n"),
}
_INDICATORS = {
    "shouting": re.compile(r"\b[A-Z]{4,}\b"),
    "mention": re.compile(r"(?<!\w)[@#]\w"),
    "url": re.compile(r"https?://|\bwww\."),
    "emoji": re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]"),
    "code": re.compile(r"[{};]\s*$|[=!]=|->|=>|\w\(\)|^\s*(?:def|class|import|return|#include|SELECT)\b", re.MULTILINE),
}
_SHARES = {
    "digits": re.compile(r"\d"),
    "capitals": re.compile(r"[A-Z]"),
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


def describe_text(inputs: Mapping[str, str]) -> dict[str, float]:
    """Features of the shape of a task's inputs; what does not occur has none, and counts as 0.

    - ``length``, and ``length:NAME`` of each input where there are several: binary logarithm of the characters;
    - ``questions``, ``exclamations``, ``quotations``, ``lines``: logarithm of their number;
    - ``digits``, ``capitals``: share of the characters;
    - ``shouting``, ``mention``, ``url``, ``emoji``, ``code``: 1 where there is one;
    - ``script:NAME`` and ``language:CODE``: share of the letters, and of the words.

    Args:
        inputs: Name -> text.

    >>> describe_text({"text": "Why?!"})
    {'length': 2.585, 'questions': 0.6931, 'exclamations': 0.6931, 'capitals': 0.2, 'script:latin': 1.0}
    """
    opened = "\n".join(text[:MAX_CHARS_READ] for text in inputs.values())
    shape = _lengths(inputs)
    shape |= {name: math.log1p(count) for name, pattern in _COUNTED.items() if (count := len(pattern.findall(opened)))}
    shape |= {name: 1.0 for name, pattern in _INDICATORS.items() if pattern.search(opened)}
    shape |= {name: len(pattern.findall(opened)) / max(1, len(opened)) for name, pattern in _SHARES.items()}
    shape |= {f"script:{name}": share for name, share in _script_shares(opened).items()}
    shape |= {f"language:{name}": share for name, share in language_shares(opened).items()}
    return {name: round(value, 4) for name, value in shape.items() if value}


def _lengths(inputs: Mapping[str, str]) -> dict[str, float]:
    lengths = {f"length:{name}": math.log2(1 + len(text)) for name, text in inputs.items()} if len(inputs) > 1 else {}
    return {"length": math.log2(1 + sum(map(len, inputs.values()))), **lengths}


def _script_shares(text: str) -> dict[str, float]:
    scripts = {"latin": _SCRIPTS["latin"]} if text.isascii() else _SCRIPTS
    counts = {name: len(pattern.findall(text)) for name, pattern in scripts.items()}
    letters = sum(counts.values())
    return {name: count / letters for name, count in counts.items() if count}
