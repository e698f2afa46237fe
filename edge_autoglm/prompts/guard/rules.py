"""What a task's guard lets in and out, as a task file says it: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_CHARS = 100_000
"""Characters of an input that is not told otherwise; a text that long is far beyond the KV slots of small devices."""

MAX_OUTPUT_CHARS = 100_000

OnControl = Literal["drop", "refuse"]
OnBidi = Literal["refuse", "drop", "pass"]
OnLookalikes = Literal["flag", "refuse"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The only texts that are let through: exact values, or texts of given characters; one of the two is set.

    Attributes:
        values: As they are, to the letter.
        characters: Single ones and ranges, as ``A-Z0-9 .-``; a hyphen that stands first or last is itself. An empty
            text has no other character, so it passes. One scan decides: no pattern can make it slow.
        max_chars: Of a text of such characters; ``None`` leaves it to the input's own limit.
    """

    values: tuple[str, ...] = ()
    characters: str = ""
    max_chars: int | None = None

    def plain(self) -> Any:
        """As it stands in a task file."""
        if self.values:
            return list(self.values)
        limit = {} if self.max_chars is None else {"max_chars": self.max_chars}
        return {"characters": self.characters, **limit}


@dataclass(frozen=True, slots=True)
class OutputRules:
    """What an answer must be; given at all, an answer that is not is refused.

    Attributes:
        max_chars: Of the answer.
        forbid: Texts that it must not have in it, in whatever case or width.
        allow: What it must be; ``None`` for anything.
    """

    max_chars: int = MAX_OUTPUT_CHARS
    forbid: tuple[str, ...] = ()
    allow: Allowed | None = None

    def plain(self) -> dict[str, Any]:
        """As it stands in a task file."""
        return {
            **({} if self.max_chars == MAX_OUTPUT_CHARS else {"max_chars": self.max_chars}),
            **({"forbid": list(self.forbid)} if self.forbid else {}),
            **({} if self.allow is None else {"allow": self.allow.plain()}),
        }


@dataclass(frozen=True, slots=True)
class GuardRules:
    """The ``guard`` of a task; the defaults are those of a task file without one.

    Attributes:
        max_chars: Of each input.
        control: What happens to control characters and hidden text.
        bidi: What happens to direction controls that are unbalanced or override.
        lookalikes: Whether words of mixed alphabets are counted or refused.
        allow: By input, the only texts that are let through.
        output: Of text answers; ``None`` refuses none, and counts what would be.
    """

    max_chars: int = MAX_CHARS
    control: OnControl = "drop"
    bidi: OnBidi = "refuse"
    lookalikes: OnLookalikes = "flag"
    allow: Mapping[str, Allowed] = field(default_factory=dict)
    output: OutputRules | None = None

    def plain(self) -> dict[str, Any]:
        """As it stands in a task file; what is as by default is left out."""
        usual = GuardRules()
        names = ("max_chars", "control", "bidi", "lookalikes")
        written = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(usual, name)}
        if self.allow:
            written["allow"] = {name: allowed.plain() for name, allowed in self.allow.items()}
        if self.output is not None:
            written["output"] = self.output.plain()
        return written
