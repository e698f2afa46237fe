"""How much of a text was changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_CHARS_COMPARED = 2000
"""The comparison takes time in proportion to the product of both lengths: 20 ms for two texts of this one."""


def edit_share(before: str, after: str) -> float:
    """Levenshtein distance of two texts over the length of the longer one: 0 for equal ones, 1 where nothing is left.

    Of longer texts, the first `MAX_CHARS_COMPARED` characters are compared.

    >>> edit_share("the cat sat", "the cat sat"), edit_share("kitten", "sitting"), edit_share("", "all new")
    (0.0, 0.42857142857142855, 1.0)
    """
    first, second = _codes(before), _codes(after)
    longer = max(len(first), len(second))
    return _distance(first, second) / longer if longer else 0.0


def _codes(text: str) -> npt.NDArray[np.uint32]:
    # A lone surrogate is a legal character of a str.
    return np.frombuffer(text[:MAX_CHARS_COMPARED].encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _distance(first: npt.NDArray[np.uint32], second: npt.NDArray[np.uint32]) -> int:
    """Row by row of the table of Wagner and Fischer (1974), each row at once.

    The one step that depends on its left neighbour, an insertion, is a running minimum: ``row[j]`` is the smallest of
    ``row[i] + (j - i)`` over all ``i`` up to ``j``.
    """
    places = np.arange(len(second) + 1)
    row = places.copy()
    for number, code in enumerate(first, start=1):
        step = np.empty_like(row)
        step[0] = number
        np.minimum(row[:-1] + (second != code), row[1:] + 1, out=step[1:])
        row = np.minimum.accumulate(step - places) + places
    return int(row[-1])
