"""From a hand-written variant back to a form, where it is regular enough: then operators can rewrite its parts.

A request is read as: an instruction, the names and values of the inputs, perhaps a question, the name of the answer.
The form counts only if what is built from it puts every request in the same words, so a wrong reading does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edge_autoglm.prompts.render import label_texts
from edge_autoglm.prompts.rewrite.bank import bank
from edge_autoglm.prompts.rewrite.build import build
from edge_autoglm.prompts.rewrite.draft import Material
from edge_autoglm.prompts.rewrite.form import Form, Layout, Scheme
from edge_autoglm.prompts.rewrite.templates import Slot, outline
from edge_autoglm.prompts.rewrite.wording import marked
from edge_autoglm.prompts.task import Task, Variant

Parts = tuple[str | Slot, ...]

_NAME = "([^\n]{1,30}?)"
_LINES = ("\n\n", "\n", " ")
_YES_NO = (("yes", "no"), ("是", "否"))


def lift(variant: Variant, material: Material) -> Form | None:
    """The parts of a variant; ``None`` if it cannot be told apart."""
    outlined = _outlines(variant, material.task)
    if outlined is None or variant.shots is not None or variant.passages is not None or variant.soft_prompt is not None:
        return None
    for form in _readings(variant, outlined, material.task):
        if _alike(build(form, material), variant, outlined, material.task):
            return form
    return None


@dataclass(frozen=True, slots=True)
class _Request:
    """How the part of a prompt with the inputs in it is read."""

    instruction: str
    gap: str | None
    fields: tuple[tuple[str, str], ...]
    line: str | None
    rest: str
    """Behind the last value."""


def _outlines(variant: Variant, task: Task) -> dict[str, Parts] | None:
    found = {where: outline(source, task.inputs, task.labels) for where, source in variant.sources().items()}
    known = {where: parts for where, parts in found.items() if parts is not None}
    return known if len(known) == len(found) else None


def _alike(built: Variant, variant: Variant, outlined: dict[str, Parts], task: Task) -> bool:
    """Whether both put every request alike, and read its answer alike."""
    roles = [[message["role"] for message in each.messages or ()] for each in (built, variant)]
    last = [*outlined.values()][-1][-1] if variant.answer is not None or variant.prompt is not None else ""
    end = str(last) or "x"
    return (
        _outlines(built, task) == outlined
        and roles[0] == roles[1]
        and built.sampling == variant.sampling
        and label_texts(task, built, end) == label_texts(task, variant, end)
    )


def _readings(variant: Variant, outlined: dict[str, Parts], task: Task) -> Iterator[Form]:
    """Forms that the variant may have come from; texts that would be taken for phrases with marks are left alone."""
    *before, request = [parts for where, parts in outlined.items() if where != "answer"]
    roles = [message["role"] for message in variant.messages or ()]
    if roles not in ([], ["user"], ["system", "user"]) or any(len(parts) > 1 for parts in before):
        return
    if any(isinstance(part, str) and marked(part) for parts in outlined.values() for part in parts):
        return
    answer = str(outlined["answer"][0]) if "answer" in outlined else ""
    bare = Form("chat" if roles else "completion", (), system=str(before[0][0]) if before else "")
    for pair in dict.fromkeys((*bank("en").texts("layouts"), *bank("zh").texts("layouts"))):
        for read in _requests(request, Layout(pair)):
            for form in _completed(replace(bare, layout=Layout(pair)), read, answer):
                yield _with_words(form, variant, task)


def _requests(parts: Parts, layout: Layout) -> Iterator[_Request]:
    """Readings with the inputs' names put as the layout has it, or with one input alone."""
    texts = [part for part in parts if isinstance(part, str)]
    slots = [part.name for part in parts if isinstance(part, Slot)]
    opening = _opening(layout)
    found = re.search(rf"(?:\A|(?<=\n)){opening}\Z", texts[0])
    if found is not None:
        yield from _named(texts, slots, layout, found)
    if len(slots) == 1:
        yield _Request(*_instruction(texts[0]), ((slots[0], ""),), None, texts[1])


def _named(texts: Sequence[str], slots: Sequence[str], layout: Layout, first: re.Match[str]) -> Iterator[_Request]:
    names = [first[1]]
    lines: set[str] = set()
    for text in texts[1:-1]:
        closing = layout.closing(names[-1])
        match = re.fullmatch(rf"{re.escape(closing)}(\s+){_opening(layout)}", text)
        if match is None:
            return
        lines.add(match[1])
        names.append(match[2])
    if len(lines) > 1 or not texts[-1].startswith(layout.closing(names[-1])):
        return
    rest = texts[-1].removeprefix(layout.closing(names[-1]))
    instruction, gap = _instruction(texts[0][: first.start()])
    yield _Request(instruction, gap, tuple(zip(slots, names, strict=True)), next(iter(lines), None), rest)


def _opening(layout: Layout) -> str:
    before, _, between = layout.pair.partition("{value}")[0].partition("{name}")
    return f"{re.escape(before)}{_NAME}{re.escape(between)}"


def _instruction(head: str) -> tuple[str, str | None]:
    """An instruction, and what stands between it and the request."""
    kept = head.rstrip("\n")
    return kept, head[len(kept) :] if kept else None


def _completed(form: Form, read: _Request, answer: str) -> Iterator[Form]:
    """Forms with the rest of the request and the beginning of the answer read."""
    if read.gap == "":
        return
    form = replace(form, fields=read.fields, instruction=read.instruction)
    if read.gap is not None:
        form = replace(form, layout=replace(form.layout, gap=read.gap))
    for line in _LINES if read.line is None else (read.line,):
        laid = replace(form, layout=replace(form.layout, line=line))
        if not read.rest:
            yield from _started(laid, answer)
        elif read.rest.startswith(line):
            lines = read.rest.removeprefix(line).split(line)
            if form.style == "chat":
                yield from _started(replace(laid, question=line.join(lines)), answer)
            else:
                yield from _started(replace(laid, question=line.join(lines[:-1])), lines[-1])


def _started(form: Form, start: str) -> Iterator[Form]:
    """Forms with the beginning of the answer read as a cue, a cue and a lead-in, or a lead-in.

    None where names stand in the instruction too: that would be solved examples, which depend on the other parts.
    """
    shown = [form.layout.opening(name).strip() for _, name in form.fields if name]
    if any(name in form.instruction for name in shown) or (start and start in form.instruction):
        return
    opening = _opening(form.layout).removesuffix(r"\ ")
    match = re.fullmatch(rf"{opening}(?: +(.+))?", start, re.DOTALL) if start else None
    if match is None:
        yield replace(form, lead_in=start)
    elif form.layout.opening(match[1]).strip() not in form.instruction:
        yield replace(form, cue=match[1], lead_in=match[2] or "")


def _with_words(form: Form, variant: Variant, task: Task) -> Form:
    words = {label: variant.verbalizer.get(label, label).strip() for label in task.labels}
    shown = tuple(words.values())
    scheme: Scheme = "words"
    if shown in _YES_NO or shown[::-1] in _YES_NO:
        scheme = "yes_no"
    elif shown and all(len(word) == 1 and word.isascii() and word.isupper() for word in shown):
        scheme = "letters"
    return replace(form, words=words, scheme=scheme, sampling=variant.sampling)
