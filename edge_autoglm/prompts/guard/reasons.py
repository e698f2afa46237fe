"""Why something is not let through, or let through changed, and what that means in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Reason(Enum):
    """What the guard found."""

    INPUTS = "inputs"
    LENGTH = "length"
    ENCODING = "encoding"
    CONTROL = "control"
    HIDDEN = "hidden"
    BIDI = "bidi"
    LOOKALIKES = "lookalikes"
    NOT_ALLOWED = "not_allowed"
    MARKER = "marker"
    EMPTY = "empty"
    BROKEN = "broken"
    FORBIDDEN = "forbidden"


EXPLANATIONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.INPUTS: "inputs are missing, superfluous or no texts",
        Reason.LENGTH: "longer than the task allows",
        Reason.ENCODING: "a NUL character, or half a surrogate pair, which is no character",
        Reason.CONTROL: "control characters, which ordinary text does not have",
        Reason.HIDDEN: "text that no font shows: tag characters, or runs of variation selectors",
        Reason.BIDI: "direction controls that are unbalanced or override (Trojan Source)",
        Reason.LOOKALIKES: "words that mix alphabets, or numbers that mix digits, which look alike",
        Reason.NOT_ALLOWED: "not among the texts that the task allows",
        Reason.MARKER: "a special token of the model, spelled out; it is read as text",
        Reason.EMPTY: "an answer without text",
        Reason.BROKEN: "an answer with characters that are none",
        Reason.FORBIDDEN: "an answer with a text that the task forbids",
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request or an answer is refused, and how to avoid it, as the parts of an error."""

    reason: Reason
    cause: str
    cure: str
