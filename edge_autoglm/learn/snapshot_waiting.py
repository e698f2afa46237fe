"""Waiting decisions as facts and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_autoglm.learn.features import Features
from edge_autoglm.learn.learner_state import Waiting
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.record_codec import assignment_fields, assignment_of
from edge_autoglm.learn.records import DecisionRecord


def pack(waiting: Sequence[Waiting]) -> ModelState:
    """All decisions in a few arrays; what is alike in most decisions of a task is written once."""
    shapes: dict[tuple[Any, ...], int] = {}
    rows = []
    for one in waiting:
        record = one.record
        shape = (record.task, record.arms, record.features.task, record.features.names)
        rows.append(_row(one, shapes.setdefault(shape, len(shapes))))
    features = [one.record.features for one in waiting]
    arrays = {
        "sizes": np.array([len(each.indices) for each in features], dtype=np.int64),
        "indices": _joined([each.indices for each in features], np.int64),
        "values": _joined([each.values for each in features], np.float64),
        "dense": _joined([each.dense for each in features], np.float64),
    }
    return ModelState({"shapes": list(shapes), "rows": rows}, arrays)


def unpack(state: ModelState) -> list[Waiting]:
    """What ``pack`` was given."""
    shapes = [(task, tuple(arms), about, tuple(names)) for task, arms, about, names in state.facts["shapes"]]
    rows = state.facts["rows"]
    sparse_ends = list(accumulate(state.arrays["sizes"].tolist()))
    dense_ends = list(accumulate(len(shapes[row[1]][3]) for row in rows))
    sparse, dense = zip([0, *sparse_ends], sparse_ends, strict=False), zip([0, *dense_ends], dense_ends, strict=False)
    return [
        _waiting(row, shapes[row[1]], state.arrays, slice(*inside), slice(*outside))
        for row, inside, outside in zip(rows, sparse, dense, strict=True)
    ]


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts])


def _row(waiting: Waiting, shape: int) -> list[Any]:
    record = waiting.record
    arm = record.arms.index(record.arm)
    measured = [record.generation, record.time, record.latency, record.tokens, record.propensities]
    rest = [list(waiting.kinds), waiting.given, assignment_fields(record.experiment)]
    return [record.id, shape, arm, record.propensity, *measured, *rest]


def _waiting(
    row: Sequence[Any],
    shape: tuple[str, tuple[str, ...], str, tuple[str, ...]],
    arrays: Mapping[str, npt.NDArray[Any]],
    sparse: slice,
    dense: slice,
) -> Waiting:
    # Snapshots of before experiments end with what was given.
    decision_id, _, arm, propensity, generation, time, latency, tokens, shares, kinds, given, *experiment = row
    task, arms, about, names = shape
    features = Features(arrays["indices"][sparse], arrays["values"][sparse], about, names, arrays["dense"][dense])
    measured = (generation, time, latency, tokens, tuple(shares), assignment_of(*experiment or [None]))
    record = DecisionRecord(decision_id, task, arms[arm], propensity, arms, features, *measured)
    return Waiting(record, tuple(kinds), given)
