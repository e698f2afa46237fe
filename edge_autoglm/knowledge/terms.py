"""From a text to the terms that it is found by, in every script.

SQLite's own tokenizers take a Chinese sentence for one word, or need three characters of a query to match at all
(``trigram``; most Chinese words have two). So terms are made here and handed to FTS5 with spaces between them:

- words are runs of letters, digits and marks, after NFKC normalisation and case folding;
- a run in a script that sets no spaces (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese) becomes its pairs of
  neighbouring characters and, since it begins no pair, its last character.

A query is built from terms alone, each of them quoted. They hold neither quotes nor operators, so nothing that a user
types is ever FTS5 syntax.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MAX_QUERY_CHARS = 4096
"""A query is read so far."""

MAX_QUERY_TERMS = 64

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_CHUNK = re.compile(r"\S+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_LONGEST_TERM = 64


def terms_of(text: str) -> str:
    """What is indexed for a text.

    >>> terms_of("Ferry to Zürich: 今天天气")
    'ferry to zürich 今天 天天 天气 气'
    """
    return " ".join(term for word in _words(text) for term in _parts(word))


def match_query(text: str) -> str | None:
    """An FTS5 query for what shares any term with a text; ``None`` for a text without terms.

    >>> match_query('NEAR("a") OR 茶')
    '"near" OR "a" OR "or" OR "茶"*'
    """
    found: dict[str, None] = {}
    for word in _words(text[:MAX_QUERY_CHARS]):
        parts = _parts(word)
        unspaced = _UNSPACED.match(word) is not None
        # One character of an unspaced script is looked up as the beginning of a pair; in a longer run it is no news.
        terms = [f'"{word}"*'] if unspaced and len(parts) == 1 else [f'"{part}"' for part in parts]
        found.update(dict.fromkeys(terms[:-1] if unspaced and len(parts) > 1 else terms))
        if len(found) >= MAX_QUERY_TERMS:
            break
    return " OR ".join(list(found)[:MAX_QUERY_TERMS]) or None


def _words(text: str) -> Iterator[str]:
    """Runs of one kind of script."""
    if text.isascii():
        yield from (word[:_LONGEST_TERM] for word in _ASCII_WORD.findall(text.lower()))
        return
    for chunk in _CHUNK.findall(unicodedata.normalize("NFKC", text).casefold()):
        if chunk.isascii():
            yield from (word[:_LONGEST_TERM] for word in _ASCII_WORD.findall(chunk))
        else:
            kept = "".join(character if _is_word_character(character) else " " for character in chunk)
            yield from (piece for word in kept.split() for piece in _by_script(word))


def _by_script(word: str) -> Iterator[str]:
    begin = 0
    for match in _UNSPACED.finditer(word):
        if match.start() > begin:
            yield word[begin : match.start()][:_LONGEST_TERM]
        yield match[0]
        begin = match.end()
    if begin < len(word):
        yield word[begin:][:_LONGEST_TERM]


def _parts(word: str) -> list[str]:
    if _UNSPACED.match(word) is None:
        return [word]
    return [*(word[start : start + 2] for start in range(len(word) - 1)), word[-1]]


@lru_cache(maxsize=4096)  # a pure function, asked for the same few characters again and again
def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"
