"""What a policy sees of a request: dense features by name, and sparse ones under a hash."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import InputRejected

LARGEST_VALUE = 1e6


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
