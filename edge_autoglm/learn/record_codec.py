"""The JSON of the journal's records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, TypeAlias

import numpy as np

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, MergeRecord, Record
from edge_autoglm.values import Assignment

SCHEMA_VERSION = 2
OLDEST_SCHEMA = 1

Shape: TypeAlias = tuple[str, tuple[str, ...], str, tuple[str, ...]]
"""What is alike in most decisions of a task: its name, the arms, the features' task, the dense features' names."""


class RecordCodec:
    """Turns the records of one segment into JSON and back; floats keep every bit.

    The shape of a decision is written out once in a segment, with a number, and is that number from then on: the names
    of 8 arms and 32 dense features would otherwise take more room than all the rest. Each segment can be read without
    those before it, which may be gone.

    Args:
        schema: Of the segment. Records are written in the newest one only.
    """

    def __init__(self, schema: int = SCHEMA_VERSION) -> None:
        self.schema = schema
        self._shapes: dict[int, Shape] = {}
        self._numbers: dict[Shape, int] = {}

    def encode(self, record: Record) -> bytes:
        """One line without its end. Call `note` once it has been written, before another decision is encoded."""
        fields = self._decision(record) if isinstance(record, DecisionRecord) else _encoded(record)
        return json.dumps(fields, separators=(",", ":")).encode("ascii")

    def note(self, record: Record) -> None:
        """The segment holds the record now, and its shape with it."""
        if isinstance(record, DecisionRecord):
            shape = _shape_of(record)
            self._remember(self._numbers.get(shape, len(self._numbers)), shape)

    def decode(self, line: bytes) -> Record:
        """The record of a line.

        Raises:
            ValueError: The line is not a record that this version writes.
        """
        try:
            fields = json.loads(line)
            kind = fields.pop("k")
            if kind == "decision":
                return self._read_old(fields) if self.schema == OLDEST_SCHEMA else self._read(fields)
            return _DECODED[kind](**fields)
        except (KeyError, TypeError, AttributeError, IndexError, InputRejected) as error:
            raise ValueError(f"not a record of this version: {error!r}") from error

    def skip(self, line: bytes) -> None:
        """Pass over a line, but for the shape that it may write out; cheaper than `decode`."""
        if b'"shape":[' in line:  # inside a JSON text, the quotation marks would be escaped
            self.decode(line)

    def _remember(self, number: int, shape: Shape) -> None:
        self._shapes[number] = shape
        self._numbers[shape] = number

    def _decision(self, record: DecisionRecord) -> dict[str, Any]:
        shape = _shape_of(record)
        number = self._numbers.get(shape)
        fields = {
            "k": "decision",
            "id": record.id,
            "shape": [len(self._numbers), *shape] if number is None else number,
            "arm": record.arms.index(record.arm),
            "propensity": record.propensity,
            "generation": record.generation,
            "time": record.time,
            "indices": record.features.indices.tolist(),
            "values": record.features.values.tolist(),
            "dense": record.features.dense.tolist(),
        }
        known = {
            "latency": record.latency,
            "tokens": record.tokens,
            "propensities": record.propensities or None,
            "experiment": assignment_fields(record.experiment),
        }
        return fields | {name: value for name, value in known.items() if value is not None}

    def _read(self, fields: dict[str, Any]) -> DecisionRecord:
        written = fields.pop("shape")
        if isinstance(written, list):
            number, task, arms, about, names = written
            self._remember(number, (task, tuple(arms), about, tuple(names)))
            written = number
        task, arms, about, names = self._shapes[written]
        features = Features(*_sparse(fields), about, names, np.array(fields.pop("dense"), np.float64))
        fields["propensities"] = tuple(fields.get("propensities", ()))
        fields["experiment"] = assignment_of(fields.get("experiment"))
        arm = arms[fields.pop("arm")]
        return DecisionRecord(task=task, arm=arm, arms=arms, features=features, **fields)

    def _read_old(self, fields: dict[str, Any]) -> DecisionRecord:
        features = Features(*_sparse(fields), task=fields["task"])
        return DecisionRecord(features=features, arms=tuple(fields.pop("arms")), **fields)


def assignment_fields(assignment: Assignment | None) -> list[Any] | None:
    """An experiment's decision as JSON values, for `assignment_of`."""
    return None if assignment is None else list(astuple(assignment))


def assignment_of(fields: Sequence[Any] | None) -> Assignment | None:
    """What `assignment_fields` was given."""
    return None if fields is None else Assignment(*fields)


def _shape_of(record: DecisionRecord) -> Shape:
    return record.task, record.arms, record.features.task, record.features.names


def _sparse(fields: dict[str, Any]) -> tuple[Any, Any]:
    return np.array(fields.pop("indices"), np.int64), np.array(fields.pop("values"), np.float64)


def _encoded(record: FeedbackRecord | MergeRecord) -> Mapping[str, Any]:
    if isinstance(record, MergeRecord):
        return {"k": "merge", "digest": record.digest, "time": record.time}
    fields: dict[str, Any] = {"k": "feedback", "id": record.id, "reward": record.reward, "time": record.time}
    if record.weight != 1.0:
        fields["weight"] = record.weight
    if record.kind != "explicit":
        fields["kind"] = record.kind
    return fields if record.source is None else fields | {"source": record.source}


_DECODED: Mapping[str, type[FeedbackRecord | MergeRecord]] = {"feedback": FeedbackRecord, "merge": MergeRecord}
