"""The parts of a prompt that operators rewrite: a variant is built from a form, see ``build``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge_autoglm.values import SamplingParams

Style = Literal["completion", "chat"]
Scheme = Literal["words", "yes_no", "letters"]
"""What stands for a label: a word of its own, ``yes`` for the first of two, or a letter beside which it is listed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How names and values stand together.

    Attributes:
        pair: A name with its value, with ``{name}`` and ``{value}`` in it.
        line: Between the lines of one example.
        gap: Between the instruction, the examples and the request.
    """

    pair: str = "{name}: {value}"
    line: str = "\n"
    gap: str = "\n\n"

    def opening(self, name: str) -> str:
        """What stands before a value."""
        return self.pair.partition("{value}")[0].replace("{name}", name) if name else ""

    def closing(self, name: str) -> str:
        """What stands behind a value."""
        return self.pair.partition("{value}")[2].replace("{name}", name) if name else ""


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved example in a prompt.

    Attributes:
        inputs: One text for each of the form's fields, in the task's order of inputs.
        answer: A label, or a whole answer.
    """

    inputs: tuple[tuple[str, str], ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Form:
    """A prompt in parts. Texts are plain text, not template source.

    In ``system``, ``instruction``, ``method``, ``question`` and ``lead_in``, the marks ``{labels}``, ``{options}``,
    ``{first}``, ``{answer}``, ``{input}`` and ``{description}`` are filled in when the variant is built, so that they
    follow the other parts.

    Attributes:
        style: One text, or turns of a chat.
        fields: Input and the name that is shown for it, in the order in which they are shown; an empty name shows the
            bare text.
        cue: Name of the answer, behind which it is to stand; empty for none.
        layout: How names, values and examples stand together.
        system: Role or rules that come first; empty for none.
        instruction: What is asked for, before examples and request; empty for none.
        question: The same behind the inputs of each example; empty for none.
        lead_in: Beginning of the answer, behind the cue; empty for none.
        scheme: What stands for a label.
        words: Label -> what stands for it; empty for a task that generates text.
        shots: Solved examples, in order.
        turns: Chat style only: the examples are turns, not part of the request's turn.
        method: How to come to an answer, told behind the instruction; the answer may then have several paragraphs, and
            says at its end what it comes to. Empty for none.
        sampling: How an answer is decoded, before the stop texts that the layout adds.
    """

    style: Style
    fields: tuple[tuple[str, str], ...]
    cue: str = ""
    layout: Layout = Layout()
    system: str = ""
    instruction: str = ""
    question: str = ""
    lead_in: str = ""
    scheme: Scheme = "words"
    words: Mapping[str, str] = field(default_factory=dict)
    shots: tuple[Shot, ...] = ()
    turns: bool = False
    method: str = ""
    sampling: SamplingParams = field(default_factory=SamplingParams)
