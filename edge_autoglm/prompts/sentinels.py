"""Texts that stand in for user input when the renderer looks for the static prefix of a variant."""

from __future__ import annotations

from collections.abc import Iterable

_ORDINARY = (
    "",
    " ",
    "\n",
    "a",
    "Z",
    "7",
    "0",
    "-1.5",
    "?",
    '"',
    "'quoted' and \"quoted\"",
    "Is this good or bad?",
    "NOT AT ALL!!!",
    "first line\nsecond line\n\nthird line",
    "  spaces around  ",
    "def f(x): return {'x': x}",
    "see https://example.org/a?b=c#d",
    "这部电影很好看。",
    "Ça alors, où est l'été ?",
    "مرحبا",
    "👍🏽",
)
_FILLERS = ("ж щ\n", "のね ")
"""Two, so that no two long texts begin alike; letters that a template's own text hardly begins with."""

_LENGTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_LONGEST = 65536


def sentinel_texts(constants: Iterable[str | int] = ()) -> tuple[str, ...]:
    """Distinct texts, short and long, of different first characters.

    Args:
        constants: What a template may compare its input with. Texts are put into sentinels alone, all together, and
            within longer text; numbers become lengths, exactly and one off.
    """
    known = list(constants)
    words = [value for value in known if isinstance(value, str)]
    words += [" ".join(words), "".join(words)]
    exact = {value + off for value in known if isinstance(value, int) for off in (-1, 0, 1)}
    lengths = sorted({*_LENGTHS, *(length for length in exact if 0 < length <= _LONGEST)})
    padded = [_pad(filler, length) for length in lengths for filler in _FILLERS]
    mixed = [
        text for word in words for filler in _FILLERS for text in (word, f"{_pad(filler, 9)}{word}", word + filler)
    ]
    sized = [
        _pad(filler, length - len(word)) + word
        for word in words
        for length in sorted({*exact, _LENGTHS[-1]})
        if len(word) <= length <= _LONGEST
        for filler in _FILLERS
    ]
    return tuple(dict.fromkeys((*_ORDINARY, *mixed, *padded, *sized)))


def _pad(filler: str, length: int) -> str:
    return (filler * (length // len(filler) + 1))[:length]
