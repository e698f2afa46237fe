"""The journal's records and their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.features import Features


@dataclass(frozen=True, slots=True, eq=False)
class DecisionRecord:
    """A decision, with all that its reward needs when it comes.

    Attributes:
        id: Of the decision.
        task: Name of the task.
        arm: The variant that was chosen out of ``arms``.
        propensity: Probability of that choice.
        features: Of the request; hashed, so no text can be read back.
        generation: That answered.
        time: Seconds since the epoch; informative only.
    """

    id: str
    task: str
    arm: str
    propensity: float
    arms: tuple[str, ...]
    features: Features
    generation: int
    time: float


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """A reward in 0..1 for the decision ``id``."""

    id: str
    reward: float
    time: float


Record = DecisionRecord | FeedbackRecord


def to_json(record: Record) -> bytes:
    """One line without its end; floats keep every bit."""
    if isinstance(record, FeedbackRecord):
        fields: dict[str, Any] = {"k": "feedback", "id": record.id, "reward": record.reward, "time": record.time}
    else:
        fields = {
            "k": "decision",
            "id": record.id,
            "task": record.task,
            "arm": record.arm,
            "propensity": record.propensity,
            "arms": record.arms,
            "generation": record.generation,
            "time": record.time,
            "indices": record.features.indices.tolist(),
            "values": record.features.values.tolist(),
        }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def from_json(line: bytes) -> Record:
    """The record of a line.

    Raises:
        ValueError: The line is not a record that this version writes.
    """
    try:
        fields = json.loads(line)
        return _READERS[fields.pop("k")](fields)
    except (KeyError, TypeError, AttributeError, InputRejected) as error:
        raise ValueError(f"not a record of this version: {error!r}") from error


def _decision(fields: dict[str, Any]) -> DecisionRecord:
    features = Features(np.array(fields.pop("indices"), np.int64), np.array(fields.pop("values"), np.float64))
    return DecisionRecord(features=features, arms=tuple(fields.pop("arms")), **fields)


def _feedback(fields: dict[str, Any]) -> FeedbackRecord:
    return FeedbackRecord(**fields)


_READERS: dict[str, Callable[[dict[str, Any]], Record]] = {"decision": _decision, "feedback": _feedback}
