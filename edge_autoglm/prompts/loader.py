"""Reads a task file.

The format, by example (more in ``prompts/library``)::

    name: sentiment                     # a-z, 0-9, _ and -
    version: 1.2.0                      # optional; see versions
    description: Positive or negative?
    kind: classify                      # or generate
    inputs: [text]                      # variables of the templates
    labels: [positive, negative]        # classify only; visible to templates as ``labels``
    decoding: {max_new_tokens: 64}      # for all variants; a variant's own settings win
    variants:
      - name: plain                     # must be there: the input as the user would type it
        prompt: "{{ text }}"
      - name: question
        messages:                       # put together by the model's chat template
          - {role: user, content: "Positive or negative? {{ text }}"}
        answer: "It is"                 # begins the model's answer
        verbalizer: {positive: " good", negative: " bad"}
        calibration: {positive: -0.3, negative: -1.4}    # log priors, taken off the labels' scores
        made_by: ["written by hand", "calibrate: contextual"]  # optional: how it came to be
        soft_prompt: tone-1f0c9a2b33d4  # optional: trained embeddings, by `edge-autoglm prompts import-soft`
      - name: shots                     # see ``retrieved`` for the fields shots and passages
        shots: {count: 4}
        prompt: "{% for s in shots %}{{ s.text }} = {{ s.answer }}; {% endfor %}{{ text }} ="
    probes:                             # at least two, for health checks
      - {text: I liked it., expect: positive}
      - {text: It broke at once.}
    golden:                             # optional: questions whose right answer is known, for health checks
      - {text: What a day!, expect: positive}   # generate: a text that a right answer has in it, or a list of such
    guard: {max_chars: 4000}            # optional: what is let in and out, see guard/reading

How texts are read, the line break at the end of a block included, is said in ``fields``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from edge_autoglm.errors import InputRejected, RequestError, TemplateError
from edge_autoglm.prompts.calibration import read_calibration
from edge_autoglm.prompts.fields import Field, read_fields
from edge_autoglm.prompts.guard.reading import read_guard
from edge_autoglm.prompts.placing import placed, undefined
from edge_autoglm.prompts.render import render
from edge_autoglm.prompts.retrieved import PASSAGES, SHOTS, read_passages, read_shots
from edge_autoglm.prompts.retrieved_samples import retrieved_samples
from edge_autoglm.prompts.task import LABELS, PLAIN, GoldenQuestion, Kind, Task, Variant
from edge_autoglm.prompts.versions import read_version
from edge_autoglm.sandbox import undeclared_variables
from edge_autoglm.values import Message, SamplingParams

_TASK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_INPUT_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = frozenset(
    (
        LABELS,
        SHOTS,
        PASSAGES,
        "expect",
        "self",
        "loop",
        "true",
        "false",
        "none",
        "not",
        "and",
        "or",
        "in",
        "is",
        "if",
        "else",
    )
)
_ROLES = ("system", "user", "assistant")
_FRACTIONS = ("temperature", "top_p", "min_p", "repetition_penalty")
_FEW = 3
"""Templates are tried out with nothing retrieved, with one, and with several (or as many as they ask for)."""
_DECODING = (*_FRACTIONS, "max_new_tokens", "top_k", "stop", "seed")


def load_task(path: Path) -> Task:
    """Read and check a task file.

    Raises:
        TaskFileError: A field is missing, unknown or wrong; names file, field and line.
        TemplateError: A template has a syntax error, an undefined variable, or fails on a probe.
    """
    root = read_fields(path)
    fields = root.mapping(
        required=("name", "description", "kind", "inputs", "variants", "probes"),
        optional=("version", "labels", "decoding", "golden", "guard"),
    )
    kind = _kind(fields["kind"])
    inputs = _names(fields["inputs"], _INPUT_NAME, "an input")
    labels = _labels(root, fields.get("labels"), kind)
    defaults = _decoding(fields["decoding"]) if "decoding" in fields else {}
    variants = tuple(_variant(field, inputs, labels, defaults) for field in fields["variants"].items(at_least=2))
    _check_variant_names(fields["variants"], variants)
    probes = [_probe(field, inputs, labels) for field in fields["probes"].items(at_least=2)]
    golden = [_golden(field, inputs, labels) for field in fields["golden"].items()] if "golden" in fields else []
    task = Task(
        name=_name(fields["name"], _TASK_NAME, "a task"),
        description=fields["description"].passage(),
        kind=kind,
        inputs=inputs,
        labels=labels,
        variants=variants,
        probes=tuple(texts for texts, _ in probes),
        file=path.name,
        expected=tuple(expected for _, expected in probes),
        golden=tuple(golden),
        version=read_version(fields.get("version")),
        guard=read_guard(fields.get("guard"), inputs, labels),
    )
    _try_out(task, fields["variants"].items())
    return task


def _kind(field: Field) -> Kind:
    text = field.text()
    if text not in ("classify", "generate"):
        raise field.error(f"is {text!r}", "Write classify or generate.")
    return cast("Kind", text)


def _name(field: Field, pattern: re.Pattern[str], what: str) -> str:
    text = field.text()
    if not pattern.fullmatch(text):
        raise field.error(
            f"is {text!r}, which cannot name {what}", "Use small letters, digits and _; begin with a letter."
        )
    return text


def _names(field: Field, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
    found: list[str] = []
    for item in field.items():
        name = _name(item, pattern, what)
        if name in found:
            raise item.error(f"is {name!r}, which is there twice", "Leave one of the two out.")
        if name in _RESERVED:
            raise item.error(f"is {name!r}, which means something else in a template", "Choose another name.")
        found.append(name)
    return tuple(found)


def _labels(root: Field, field: Field | None, kind: Kind) -> tuple[str, ...]:
    if kind == "generate":
        if field is not None:
            raise field.error("are given for a task that generates text", "Remove them, or make the kind classify.")
        return ()
    if field is None:
        raise root.error("has no labels", "List the labels that the task chooses from.")
    found: list[str] = []
    for item in field.items(at_least=2):
        label = item.text()
        if label != label.strip() or "\n" in label:
            raise item.error(f"is {label!r}, with white space around it", "Put the space into a verbalizer.")
        if label in found:
            raise item.error(f"is {label!r}, which is there twice", "Leave one of the two out.")
        found.append(label)
    return tuple(found)


def _decoding(field: Field) -> dict[str, Any]:
    """Settings by name, each in its own range."""
    settings: dict[str, Any] = {}
    for key, value in field.mapping(required=(), optional=_DECODING).items():
        if key == "stop":
            settings[key] = tuple(item.text() for item in value.items())
            continue
        settings[key] = value.number() if key in _FRACTIONS else value.integer()
        try:
            SamplingParams(**{key: settings[key]})
        except RequestError as error:
            raise value.error(f"is {settings[key]}", error.cure) from error
    return settings


def _variant(field: Field, inputs: tuple[str, ...], labels: tuple[str, ...], defaults: Mapping[str, Any]) -> Variant:
    fields = field.mapping(
        required=("name",),
        optional=(
            "description",
            "prompt",
            "messages",
            "answer",
            "decoding",
            "verbalizer",
            "calibration",
            "made_by",
            "soft_prompt",
            SHOTS,
            PASSAGES,
        ),
    )
    if ("prompt" in fields) == ("messages" in fields):
        raise field.error("has not exactly one of prompt and messages", "Give one of the two.")
    if "answer" in fields and "prompt" in fields:
        raise fields["answer"].error("stands beside a prompt", "Write it at the end of the prompt.")
    own = _decoding(fields["decoding"]) if "decoding" in fields else {}
    variant = Variant(
        name=_name(fields["name"], _TASK_NAME, "a variant"),
        prompt=fields["prompt"].passage() if "prompt" in fields else None,
        messages=_messages(fields["messages"]) if "messages" in fields else None,
        sampling=SamplingParams(**{**defaults, **own}),
        verbalizer=_verbalizer(fields["verbalizer"], labels) if "verbalizer" in fields else {},
        description=fields["description"].passage() if "description" in fields else "",
        answer=fields["answer"].passage() if "answer" in fields else None,
        calibration=read_calibration(fields["calibration"], labels) if "calibration" in fields else {},
        made_by=tuple(step.passage() for step in fields["made_by"].items()) if "made_by" in fields else (),
        shots=read_shots(fields[SHOTS], labels, inputs) if SHOTS in fields else None,
        passages=read_passages(fields[PASSAGES]) if PASSAGES in fields else None,
        soft_prompt=_name(fields["soft_prompt"], _TASK_NAME, "a soft prompt") if "soft_prompt" in fields else None,
        origin=f"{field.file}: {field.path}",
    )
    _check_variables(field, variant, inputs, labels)
    _check_texts_differ(field, variant, labels)
    return variant


def _messages(field: Field) -> tuple[Message, ...]:
    messages: list[Message] = []
    for item in field.items():
        fields = item.mapping(required=("role", "content"))
        role = fields["role"].text()
        if role not in _ROLES:
            raise fields["role"].error(f"is {role!r}", f"Write one of {', '.join(_ROLES)}.")
        messages.append(Message(role=role, content=fields["content"].passage()))
    if messages[-1]["role"] != "user":
        raise field.error("do not end with the user's turn", "End with role user; answer begins the model's turn.")
    return tuple(messages)


def _verbalizer(field: Field, labels: tuple[str, ...]) -> dict[str, str]:
    if not labels:
        raise field.error("is given for a task that generates text", "Remove it, or make the kind classify.")
    texts: dict[str, str] = {}
    for label, text in field.entries().items():
        if label not in labels:
            raise text.error("is not one of the labels", f"Use only {', '.join(labels)}.")
        texts[label] = text.passage()
    return texts


def _check_variables(field: Field, variant: Variant, inputs: tuple[str, ...], labels: tuple[str, ...]) -> None:
    """Every variable is defined, every input is used, every template compiles."""
    retrieved = [SHOTS] * (variant.shots is not None) + [PASSAGES] * (variant.passages is not None)
    known = {*inputs, *retrieved, *([LABELS] if labels else [])}
    used: set[str] = set()
    for where, source in variant.sources().items():
        try:
            used |= undeclared_variables(source, f"{field.file}: {field.path}.{where}")
        except TemplateError as error:
            raise placed(error, field) from error
        for name in sorted(used - known):
            cause = f"{field.file}: {field.path}.{where} of variant {variant.name} uses the undefined variable {name!r}"
            raise undefined(field, where, source, name, cause, f"Use only {', '.join(sorted(known))}.")
    for name in inputs:
        if name not in used:
            raise field.error(
                f"({variant.name}) never uses the input {name!r}", f"Put {{{{ {name} }}}} into a template."
            )
    for name in retrieved:
        if name not in used:
            raise field.error(
                f"({variant.name}) never uses {name}", f"Loop over {name} in a template, or declare none."
            )


def _check_texts_differ(field: Field, variant: Variant, labels: tuple[str, ...]) -> None:
    """Two labels with the same text would always score the same."""
    seen: dict[str, str] = {}
    for label in labels:
        text = variant.verbalizer.get(label, label).strip()
        if text in seen:
            problem = f"({variant.name}) has the text {text!r} for both {seen[text]} and {label}"
            raise field.error(problem, "Give each label its own text in the verbalizer.")
        seen[text] = label


def _check_variant_names(field: Field, variants: tuple[Variant, ...]) -> None:
    names = [variant.name for variant in variants]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise field.items()[i].error(f"has the name {name!r} of another variant", "Rename one of them.")
    if PLAIN not in names:
        cure = f"Add a variant {PLAIN} that passes on the input as the user would type it."
        raise field.error(f"have none named {PLAIN}", cure)


def _probe(field: Field, inputs: tuple[str, ...], labels: tuple[str, ...]) -> tuple[dict[str, str], str | None]:
    """Inputs, and the label expected for them if the file says."""
    fields = field.mapping(required=inputs, optional=("expect",) if labels else ())
    texts = {name: fields[name].passage() for name in inputs}
    if "expect" not in fields:
        return texts, None
    return texts, _label(fields["expect"], labels)


def _golden(field: Field, inputs: tuple[str, ...], labels: tuple[str, ...]) -> GoldenQuestion:
    fields = field.mapping(required=(*inputs, "expect"))
    expect = fields["expect"]
    if labels:
        expected = [_label(expect, labels)]
    else:
        expected = [item.text() for item in expect.items()] if expect.is_list else [expect.text()]
    return GoldenQuestion({name: fields[name].passage() for name in inputs}, tuple(expected))


def _label(field: Field, labels: tuple[str, ...]) -> str:
    label = field.text()
    if label not in labels:
        raise field.error(f"is {label!r}", f"Write one of {', '.join(labels)}.")
    return label


def _try_out(task: Task, fields: Sequence[Field]) -> None:
    """Render every variant on every example, so that a template that cannot work fails here and not at a request."""
    examples = [*task.probes, *(question.inputs for question in task.golden)]
    for variant, field in zip(task.variants, fields, strict=True):
        for probe in examples:
            try:
                for retrieved in islice(retrieved_samples(task, variant, list(probe.values())), _FEW):
                    render(task, variant, probe, _contents_only, retrieved)
            except InputRejected as error:
                raise field.error(f"({variant.name}) renders an example to nothing", "Correct its template.") from error
            except TemplateError as error:
                raise placed(error, field) from error


def _contents_only(messages: Sequence[Message]) -> str:
    """Stands in for the model's chat template, which a task file does not know."""
    return "\n".join(message["content"] for message in messages)
