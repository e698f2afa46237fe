"""Which coordinate of a task's vectors holds which dense feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MAX_NAMES = 256
"""Dense features of a task; later names are passed over, so that no app can make the matrices grow without end."""


class Layout:
    """Places of named features in a vector that begins with a constant 1; immutable.

    Coordinates are measured from an origin, the values that were seen first: sums of squares of a feature near a
    million that varies by one would lose that variation to rounding. The origin changes no result, since statistics
    translate from one origin to another exactly (``translation``). A feature that a request does not have reads as 0.

    >>> layout = Layout().grown(("length", "hour"), np.array([5.0, 20.0]))
    >>> layout.vector(("hour", "length"), np.array([21.0, 7.0])).tolist()
    [1.0, 2.0, 1.0]
    """

    __slots__ = ("_places", "names", "origin")

    def __init__(self, names: tuple[str, ...] = (), origin: FloatArray | None = None) -> None:
        self.names = names
        self.origin: FloatArray = np.zeros(len(names)) if origin is None else origin
        self._places = {name: 1 + place for place, name in enumerate(names)}

    @property
    def size(self) -> int:
        """Length of the vectors: a constant, then the features."""
        return 1 + len(self.names)

    def vector(self, names: Sequence[str], values: FloatArray) -> FloatArray:
        """The values in their places, from the origin, shape ``[size]``; names without a place are passed over."""
        vector = np.empty(self.size)
        vector[0] = 1.0
        if names == self.names:
            np.subtract(values, self.origin, out=vector[1:])
            return vector
        vector[1:] = 0.0
        for name, value in zip(names, values.tolist(), strict=True):
            if name in self._places:
                vector[self._places[name]] = value
        vector[1:] -= self.origin
        return vector

    def lacks(self, names: Sequence[str]) -> bool:
        """Whether a name has no place yet and can still get one."""
        if names == self.names or len(self.names) >= MAX_NAMES:
            return False
        return any(name not in self._places for name in names)

    def grown(self, names: Sequence[str], values: FloatArray) -> Layout:
        """A layout with places for these names too; the values become the origin of the new ones."""
        new = [(name, value) for name, value in zip(names, values.tolist(), strict=True) if name not in self._places]
        new = new[: MAX_NAMES - len(self.names)]
        origin = np.concatenate((self.origin, [value for _, value in new]))
        return Layout(self.names + tuple(name for name, _ in new), origin)

    def translation(self, old: Layout) -> FloatArray:
        """Matrix ``[size, old.size]`` that maps the vectors of a layout, whose names are among ours, to ours."""
        matrix = np.zeros((self.size, old.size))
        matrix[1:, 0] = -self.origin
        matrix[0, 0] = 1.0
        for place, name in enumerate(old.names, start=1):
            ours = self._places[name]
            matrix[ours, 0] += old.origin[place - 1]
            matrix[ours, place] = 1.0
        return matrix
