"""What goes into a step: tokens, places and mask, written into its inputs.

Column c of a row holds the token at position c, and a token sees the columns up to its own. Two things are computed
that nobody asked for, so that shapes stay fixed:

- *padding*, behind the known tokens of a page. What it writes lies behind the row's end and is overwritten later.
- *riders*, rows of a decode step that have no token in it. They write to the last column, which no token ever takes,
  and stand at position 0: a mask, cut to a window by some layers, must not become false throughout, or their NaN would
  stay in that column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engines.standard.backend import StepInputs
from edge_autoglm.runtime.engines.standard.sizes import StepShape

_ANY = 0
"""A token of padding and riders; any id of the vocabulary would do."""

Allocate = Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]


def empty_inputs(shape: StepShape, allocate: Allocate = np.zeros) -> StepInputs:
    """Room for the inputs of a step, in memory of whoever runs it."""
    rows, tokens = shape.rows, shape.tokens
    return StepInputs(
        input_ids=allocate((rows, tokens), np.int64),
        position_ids=allocate((rows, tokens), np.int64),
        write_indices=allocate((rows,), np.int64),
        attn_mask=allocate((rows, 1, tokens, shape.live), np.bool_),
        logits_at=allocate((shape.wanted,), np.int64),
    )


def by_name(inputs: StepInputs, in_place: bool) -> dict[str, npt.NDArray[Any]]:
    """The arrays by the names of the graph's inputs; a graph that does not update its cache takes no columns of it."""
    names = [field.name for field in fields(inputs) if in_place or field.name != "write_indices"]
    return {name: getattr(inputs, name) for name in names}


def cache_names(layers: int, in_place: bool) -> tuple[tuple[str, str], ...]:
    """What a step reads of the cache and what it gives for it, in the order of a KV state.

    Where the graph updates its cache, the two are one memory; else the second is what is new.
    """
    places = [f"{kind}.{layer}" for kind in ("key", "value") for layer in range(layers)]
    given = "present" if in_place else "new"
    return tuple((f"past_{place}", f"{given}_{place}") for place in places)


def write_page(inputs: StepInputs, begin: int, tokens: npt.NDArray[np.int64], wanted: Sequence[int]) -> None:
    """One page of one row.

    Args:
        inputs: Of a step of one row.
        begin: Position of the page's first token.
        tokens: Of the page as far as they are known, ``[1 ... page]``.
        wanted: Offsets into them of those whose logits are wanted, at most as many as the step has.
    """
    inputs.input_ids[0] = _ANY
    inputs.input_ids[0, : len(tokens)] = tokens
    inputs.position_ids[0] = np.arange(begin, begin + inputs.position_ids.shape[1])
    inputs.write_indices[0] = begin
    inputs.logits_at[:] = _ANY
    inputs.logits_at[: len(wanted)] = wanted
    _write_mask(inputs)


def write_decode(inputs: StepInputs, tokens: Mapping[int, int], lengths: Sequence[int], columns: int) -> None:
    """One token for some of the rows; logits of row r are the step's r-th.

    Args:
        inputs: Of a step of one token a row.
        tokens: By row; the others ride along.
        lengths: What each row holds.
        columns: Of the cache.
    """
    inputs.input_ids[:] = _ANY
    inputs.position_ids[:] = 0
    inputs.write_indices[:] = columns - 1
    for row, token in tokens.items():
        inputs.input_ids[row] = token
        inputs.position_ids[row] = lengths[row]
        inputs.write_indices[row] = lengths[row]
    inputs.logits_at[:] = np.arange(len(inputs.logits_at))
    _write_mask(inputs)


def _write_mask(inputs: StepInputs) -> None:
    columns = np.arange(inputs.attn_mask.shape[3])
    np.less_equal(columns, inputs.position_ids[:, :, None], out=inputs.attn_mask[:, 0])
