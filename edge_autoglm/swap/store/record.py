"""``generation.json``: who a generation is, and what became of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import Any

from edge_autoglm.swap.store.sealed import seal, unseal
from edge_autoglm.swap.store.version import Version

SCHEMA_VERSION = 1


class Standing(Enum):
    """What became of a generation."""

    PROPOSED = "proposed"
    """It answers some requests, or none yet: a restart does not come up on it."""
    GOOD = "good"
    """It passed every stage."""
    GIVEN_UP = "given up"
    """It failed a stage, was rolled back, or its files are damaged."""


class ForeignSchema(ValueError):
    """The file is of another version of this package."""


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """One generation, as it is kept.

    Attributes:
        number: Of the generation; never used again.
        version: What it changes against its parent.
        parent: Number of the generation that it was built on; ``None`` for the first one.
        reason: Why it was built.
        created: When it was written down; ISO 8601, UTC.
        bundle_digest: Of its bundle.
        engine_fingerprint: Of the bundle's engine, tokenizer and chat template.
        policy_digest: SHA-256 of its policy's file; ``None`` where the policy cannot be written down (River).
        metrics: What checks, shadow and canary measured.
        standing: What became of it.
        standing_reason: Why.
    """

    number: int
    version: Version
    parent: int | None
    reason: str
    created: str
    bundle_digest: str
    engine_fingerprint: str
    policy_digest: str | None
    metrics: Mapping[str, float]
    standing: Standing
    standing_reason: str

    @property
    def good(self) -> bool:
        """Whether it passed every stage."""
        return self.standing is Standing.GOOD


def encode_record(record: GenerationRecord) -> bytes:
    """Content of the file."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    changed = {
        "schema_version": SCHEMA_VERSION,
        "version": str(record.version),
        "standing": record.standing.value,
        # JSON has no form for those that are not finite.
        "metrics": {name: _plain(float(value)) for name, value in record.metrics.items()},
    }
    return seal(fields | changed)


def decode_record(data: bytes) -> GenerationRecord:
    """What ``encode_record`` was given.

    Raises:
        ForeignSchema: It was written by another version of this package.
        ValueError: It is not as it was written.
    """
    content = unseal(data)
    schema = content.pop("schema_version", None)
    if schema != SCHEMA_VERSION:
        raise ForeignSchema(f"it is of schema {schema!r}, not {SCHEMA_VERSION}")
    if content.keys() != _READERS.keys():
        raise ValueError(f"its fields are {sorted(content)}")
    try:
        return GenerationRecord(**{name: _READERS[name](value) for name, value in content.items()})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a field is of another type: {error}") from error


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _only(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in kinds:  # exact, because True is an int to isinstance
            raise TypeError(f"{value!r}")
        return value

    return read


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "number": _only(int),
    "version": Version.parse,
    "parent": _only(int, NoneType),
    "reason": _only(str),
    "created": _only(str),
    "bundle_digest": _only(str),
    "engine_fingerprint": _only(str),
    "policy_digest": _only(str, NoneType),
    "metrics": lambda value: {name: float(figure) for name, figure in value.items()},
    "standing": Standing,
    "standing_reason": _only(str),
}
