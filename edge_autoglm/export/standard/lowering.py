"""What the two lowerings of the standard graph differ in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.spec import Rope

Array = npt.NDArray[np.float32]
LoweringName = Literal["native", "decomposed"]
LOWERINGS: tuple[LoweringName, ...] = ("native", "decomposed")


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys or values of one layer, an input of the graph.

    Attributes:
        place: ``key.L`` or ``value.L``.
        shape: Declared, ``[B, kv_heads, C, head_dim]``.
    """

    place: str
    shape: tuple[int | str, ...]

    @property
    def past(self) -> str:
        """Name of the input."""
        return f"past_{self.place}"


class Lowering(Protocol):
    """Nodes of the parts of a decoder that newer operators exist for. Everything is float32 but where it says so."""

    def norm(self, name: str, x: str, factors: str, epsilon: float) -> str:
        """RMS norm over the last axis (Zhang and Sennrich 2019)."""
        ...

    def gelu(self, name: str, x: str) -> str:
        """GELU in its tanh form (Hendrycks and Gimpel 2016)."""
        ...

    def rotate(self, name: str, x: str, rope: Rope, tables: tuple[str, str]) -> str:
        """Rotate heads ``[B, heads, S, head_dim]`` by the graph's input ``position_ids``.

        Args:
            name: Of the result.
            x: The heads.
            rope: How.
            tables: Cosine and sine, ``[capacity, pairs]``.
        """
        ...

    def extend(self, cache: Cache, new: str, live: Callable[[str], str]) -> str:
        """Put the step's keys or values into the cache, and declare the graph's output for it; narrow types throughout.

        Args:
            cache: That they belong to.
            new: ``[B, kv_heads, S, head_dim]``.
            live: Appends the slice of a cache that this step reads, ``[B, kv_heads, T, head_dim]``.

        Returns:
            That slice, with them in their columns.
        """
        ...

    def attend(self, name: str, heads: tuple[str, str, str], mask: str, scale: float) -> str:
        """Attention, softmax in float32.

        Args:
            name: Of the result.
            heads: float32 queries ``[B, heads, S, head_dim]``, and narrow keys and values
                ``[B, kv_heads, T, head_dim]``.
            mask: bool ``[B, 1, S, T]``: what each token sees.
            scale: Factor of the logits.

        Returns:
            ``[B, heads, S, head_dim]``, narrow.
        """
        ...
