"""The few shapes in which the standard graph runs.

A kernel is chosen by the shapes of its operands, and kernels round differently. So a token is always computed in the
same shape, whatever else its request or its neighbours bring: a prompt token in a whole *page* of its row, a decode
step in a whole block of rows, both over a *live length* that depends on the token's position alone. Fixed shapes are
also what CUDA graphs want.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepSizes:
    """What a TensorRT plan is built for, and what an engine keeps to.

    Attributes:
        rows: Slots that decode in one step.
        page: Tokens of one row in a prefill step; a power of two.
        head_rows: Positions at which a prefill step gives logits.
    """

    rows: int = 4
    page: int = 128
    head_rows: int = 32

    def columns(self, capacity: int) -> int:
        """Columns of the graph's KV cache for a capacity in tokens: whole pages, two at least, and a column to spare.

        The last column is where rows write that only run along in a decode step. With two pages, a plan whose profiles
        begin at half of the columns still reads the tokens of a page.
        """
        return max(-(-(capacity + 1) // self.page), 2) * self.page

    def live_lengths(self, columns: int) -> tuple[int, ...]:
        """Buckets of live length: doubling from two pages, up to all columns."""
        lengths, length = [], 2 * self.page
        while length < columns:
            lengths.append(length)
            length *= 2
        return (*lengths, columns)

    def live_length(self, held: int, columns: int) -> int:
        """The smallest bucket that covers ``held`` columns."""
        return next(length for length in self.live_lengths(columns) if length >= held)


@dataclass(frozen=True, slots=True)
class StepShape:
    """Shapes of one step: B, S, T and N of the standard graph.

    Attributes:
        rows: B, rows of the cache.
        tokens: S, of each row.
        live: T, columns that attention reads.
        wanted: N, positions with logits.
    """

    rows: int
    tokens: int
    live: int
    wanted: int
