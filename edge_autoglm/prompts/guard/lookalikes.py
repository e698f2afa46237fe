"""Words that mix alphabets whose letters look alike, and numbers that mix digits of several scripts.

Both are restriction checks of Unicode Technical Standard 39 (mixed-script and mixed-number detection), cut down to the
scripts that share letter shapes with Latin, and looked for inside a word: neighbours of other scripts are ordinary
everywhere else ("iPhone用", "USB-кабель"). Ordinary words can mix as well ("μm" with a Greek letter), so that by
default they are counted and pass.
"""

from __future__ import annotations

import re
import unicodedata

_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_OTHERS = ("\u0370-\u0373\u0376-\u03ff\u1f00-\u1fff", "\u0400-\u052f", "\u0531-\u0587", "\u13a0-\u13fd")
"""Greek, Cyrillic, Armenian, Cherokee."""
_MIXED = re.compile(
    "|".join(f"[{one}][{other}]" for one in (_LATIN, *_OTHERS) for other in (_LATIN, *_OTHERS) if one != other)
)
_OTHER = re.compile(f"[{''.join(_OTHERS)}]")
_NUMBER = re.compile(r"\d{2,}")


def first_lookalike(text: str) -> int | None:
    """Position of the first mixture in a word or a number; ``None`` where there is none.

    >>> first_lookalike("p\u0430ypal"), first_lookalike("USB-\u043a"), first_lookalike("1\u0662")
    (0, None, 0)
    """
    if text.isascii():
        return None
    match = _MIXED.search(text) if _OTHER.search(text) else None
    if match is not None:
        return match.start()
    return next((number.start() for number in _NUMBER.finditer(text) if _mixes_digits(number[0])), None)


def _mixes_digits(number: str) -> bool:
    """Whether its digits count from more than one zero."""
    return len({ord(digit) - unicodedata.decimal(digit) for digit in number}) > 1
