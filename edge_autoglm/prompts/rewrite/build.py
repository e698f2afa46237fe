"""From a form to a variant: instruction and examples first, so that the static prefix is as long as it can be."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edge_autoglm.prompts.render import label_texts
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form, Shot
from edge_autoglm.prompts.rewrite.templates import escape, slot
from edge_autoglm.prompts.rewrite.wording import fill
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.values import Message, SamplingParams

_NAME = "draft"


def build(form: Form, material: Material) -> Variant:
    """The variant of a form, without a name of its own.

    Args:
        form: The parts.
        material: Whose task and language decide what the marks in the form's phrases stand for.
    """
    parts = _Parts.of(form, material)
    sampling = _sampling(form)
    if form.style == "completion":
        variant = Variant(name=_NAME, prompt=parts.prompt(), sampling=sampling)
    else:
        variant = Variant(name=_NAME, messages=parts.messages(), answer=parts.start or None, sampling=sampling)
    return replace(variant, verbalizer=_verbalizer(material.task, form, parts))


@dataclass(frozen=True, slots=True)
class _Parts:
    """A form with its phrases filled in; all texts are template source, but ``start`` and ``space``."""

    form: Form
    system: str
    instruction: str
    question: str
    start: str
    """Of the answer: cue and lead-in, without the spaces that the answer begins with."""
    space: str
    """With which an answer begins: tokenizers have a word and the space before it as one."""

    @classmethod
    def of(cls, form: Form, material: Material) -> _Parts:
        system, instruction, method, question = (
            escape(fill(phrase, form, material))
            for phrase in (form.system, form.instruction, form.method, form.question)
        )
        instruction = " ".join(filter(None, (instruction, method)))
        start = form.layout.opening(form.cue)
        if form.lead_in:
            lead_in = fill(form.lead_in, form, material)
            start += lead_in if _spaceless(lead_in) else f"{lead_in} "
        kept = start.rstrip(" ")
        return cls(form, system, instruction, question, kept, start[len(kept) :])

    def prompt(self) -> str:
        """The whole prompt of completion style."""
        blocks = (self.system, self.instruction, *map(self._solved, self.form.shots), self._opened())
        return escape(self.form.layout.gap).join(filter(None, blocks))

    def messages(self) -> tuple[Message, ...]:
        """The turns of chat style, up to the model's own."""
        gap = escape(self.form.layout.gap)
        turns = list(self._turns()) if self.form.turns else []
        inline = [] if self.form.turns else map(self._solved, self.form.shots)
        turns.append(("user", gap.join((*inline, self._asked(slot)))))
        if self.instruction:
            role, first = turns[0]
            turns[0] = (role, f"{self.instruction}{gap}{first}")
        if self.system:
            turns.insert(0, ("system", self.system))
        return tuple(Message(role=role, content=content) for role, content in turns)

    def _turns(self) -> Iterator[tuple[str, str]]:
        for shot in self.form.shots:
            yield "user", self._asked(_given(shot))
            yield "assistant", self._answered(shot)

    def _asked(self, value: Callable[[str], str]) -> str:
        """The inputs, and the question behind them."""
        layout = self.form.layout
        lines = (
            f"{escape(layout.opening(name))}{value(field)}{escape(layout.closing(name))}"
            for field, name in self.form.fields
        )
        return escape(layout.line).join(filter(None, (*lines, self.question)))

    def _opened(self) -> str:
        """The request's inputs, and the beginning of the answer."""
        return escape(self.form.layout.line).join(filter(None, (self._asked(slot), escape(self.start))))

    def _answered(self, shot: Shot) -> str:
        answer = self.form.words.get(shot.answer, shot.answer)
        return escape(f"{self.start}{self.space}{answer}{self.form.layout.closing(self.form.cue)}")

    def _solved(self, shot: Shot) -> str:
        return escape(self.form.layout.line).join((self._asked(_given(shot)), self._answered(shot)))


def _given(shot: Shot) -> Callable[[str], str]:
    texts = dict(shot.inputs)
    return lambda field: escape(texts[field])


def _verbalizer(task: Task, form: Form, parts: _Parts) -> dict[str, str]:
    """What stands for each label, where that is not what would stand for it anyway."""
    if not parts.start:
        return {label: _apart(word, form) for label, word in form.words.items() if word != label}
    texts = {label: f"{parts.space}{form.words[label]}" for label in task.labels}
    return {} if texts == label_texts(task, Variant(name=_NAME), parts.start) else texts


def _apart(word: str, form: Form) -> str:
    """A label right behind an input, or at the beginning of the model's turn."""
    spaceless = form.style == "chat" or unicodedata.east_asian_width(word[0]) in "WF"
    return word if spaceless else f" {word}"


def _sampling(form: Form) -> SamplingParams:
    """Ends a generated answer where what stands behind answers begins, or the next example would."""
    if form.words:
        return form.sampling
    stops = list(form.sampling.stop)
    ends = [form.layout.closing(form.cue), *([] if _by_turns(form) else _next_examples(form))]
    for end in filter(None, ends):
        stops += _new(end, stops)
    return replace(form.sampling, stop=tuple(stops))


def _by_turns(form: Form) -> bool:
    """Whether the chat template ends an answer, and nothing in the request suggests that an example follows."""
    return form.style == "chat" and (form.turns or not form.shots)


def _next_examples(form: Form) -> list[str]:
    """How a next example would begin; the gap only where no answer has one in it."""
    several = form.method or any(form.layout.gap in shot.answer for shot in form.shots)
    opening = form.layout.opening(form.fields[0][1])
    return ["" if several else form.layout.gap, f"\n{opening}".rstrip(" ") if opening else ""]


def _new(text: str, stops: list[str]) -> list[str]:
    """The text, unless one of the others always ends an answer before it."""
    return [] if any(stop in text for stop in stops) else [text]


def _spaceless(text: str) -> bool:
    """Whether no space follows the text: line breaks, and scripts that set none."""
    return text[-1].isspace() or unicodedata.east_asian_width(text[-1]) in "WF"
