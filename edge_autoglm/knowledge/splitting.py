"""Documents into passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_CHARS = 600
"""Of a passage: about 150 tokens of English. A character of a script without spaces counts for three."""

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r".+?(?:[.!?…]+[\"'”’)\]]*(?=\s)|[。！？；]+[”」』）]*|\n|$)", re.DOTALL)
_WIDE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_WIDE_CHARS = 3


def split_passages(text: str, max_chars: int = MAX_CHARS) -> list[str]:
    """Passages of whole sentences, in order; none of them larger than ``max_chars``.

    A passage ends with its paragraph where that is large enough to stand alone. A sentence that is larger than a
    passage is cut between words, and where it has no spaces, between characters.

    >>> split_passages("One. Two is longer. Three.", max_chars=16)
    ['One.', 'Two is longer.', 'Three.']
    """
    passages: list[str] = []
    current = ""
    for paragraph in _PARAGRAPH.split(text):
        for sentence in _sentences(paragraph, max_chars):
            joined = f"{current} {sentence}" if current and not _WIDE.match(sentence) else current + sentence
            if _width(joined) <= max_chars:
                current = joined
            else:
                passages.append(current)
                current = sentence
        if _width(current) > max_chars // 2:
            passages.append(current)
            current = ""
    return [passage for passage in (*passages, current) if passage]


def _sentences(paragraph: str, max_chars: int) -> Iterator[str]:
    for match in _SENTENCE.finditer(paragraph):
        sentence = match[0].strip()
        if sentence:
            yield from _cut(sentence, max_chars)


def _cut(sentence: str, max_chars: int) -> Iterator[str]:
    if _width(sentence) <= max_chars:
        yield sentence
        return
    piece = ""
    for word in re.findall(r"\S+\s*", sentence):
        for part in _chopped(word, max_chars):
            if piece and _width(piece + part.rstrip()) > max_chars:
                yield piece.rstrip()
                piece = ""
            piece += part
    if piece:
        yield piece.rstrip()


def _chopped(word: str, max_chars: int) -> list[str]:
    size = max(1, max_chars // (_WIDE_CHARS if _WIDE.search(word) else 1))
    return [word[begin : begin + size] for begin in range(0, len(word), size)]


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text) + (_WIDE_CHARS - 1) * len(_WIDE.findall(text))
