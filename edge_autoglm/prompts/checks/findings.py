"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or could be better.

    Attributes:
        severity: ``error``: it cannot work as it is; ``warning``: it works, and wastes something.
        check: Which check found it.
        file: The task file, as it was named.
        line: Of the field, from 1; ``None`` where the file could not be read at all.
        field: As ``variants[2].prompt``; empty for the whole file.
        message: What is wrong.
        cure: What to do.
    """

    severity: Severity
    check: str
    file: str
    line: int | None
    field: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class VariantCost:
    """What a variant takes of a model.

    Attributes:
        file: The task file, as it was named.
        task: Of the variant.
        variant: Its name.
        prefix_tokens: Prefilled once, when a generation is built.
        probe_tokens: Of the longest rendered probe, the prefix included.
        resident_bytes: KV held for the prefix; variants that begin alike share it.
    """

    file: str
    task: str
    variant: str
    prefix_tokens: int
    probe_tokens: int
    resident_bytes: int
