"""What a task file says, as frozen values: a task, its variants, their templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal

from edge_autoglm.errors import UnknownVariant
from edge_autoglm.prompts.guard.rules import GuardRules
from edge_autoglm.prompts.retrieved import PassagesWanted, ShotsWanted
from edge_autoglm.prompts.versions import UNVERSIONED, Version
from edge_autoglm.sandbox import Template, compile_template
from edge_autoglm.values import Message, SamplingParams

Kind = Literal["classify", "generate"]

PLAIN = "plain"
"""Name of the variant that every task must have: the input as the user would type it, without prompt engineering."""

LABELS = "labels"
"""Name under which a classification task's labels are visible to its templates, as a list."""


@dataclass(frozen=True)
class CompiledVariant:
    """A variant's templates, ready to render; exactly one of ``prompt`` and ``messages`` is set."""

    prompt: Template | None
    messages: tuple[tuple[str, Template], ...]
    """Role and content of each message."""
    answer: Template | None


@dataclass(frozen=True)
class Variant:
    """One way to put a task to the model: completion style (``prompt``) or chat style (``messages``).

    Attributes:
        name: Unique in its task; the arm that the policy chooses.
        prompt: Template source of the whole prompt.
        messages: Role and template source of each message; the model's chat template puts them together.
        sampling: How the answer is decoded.
        verbalizer: Label -> text whose probability stands for the label, exactly as it follows the prompt. Labels that
            are absent stand for themselves.
        description: For people.
        answer: Template source of the beginning of the model's answer (lead-in); chat style only.
        shots: Which solved examples its templates see as ``shots``; ``None`` for none.
        passages: Which passages of the app's documents they see as ``passages``; ``None`` for none.
        calibration: Label -> log prior that is taken off its score, for every label or none; see ``calibration.py``.
        made_by: The steps by which it was rewritten, for people; empty where a person wrote it.
        soft_prompt: Trained embeddings in front of the prompt, by their name in the bundle; ``None`` for none.
        origin: Where the variant was read, for messages: ``sentiment.yaml: variants[2]``.
    """

    name: str
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)
    verbalizer: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    answer: str | None = None
    shots: ShotsWanted | None = None
    passages: PassagesWanted | None = None
    calibration: Mapping[str, float] = field(default_factory=dict)
    made_by: tuple[str, ...] = ()
    soft_prompt: str | None = None
    origin: str = field(default="", compare=False)

    def sources(self) -> dict[str, str]:
        """Template sources by the field that they stand in: ``prompt``, or ``messages[i].content`` and ``answer``."""
        found = {f"messages[{i}].content": message["content"] for i, message in enumerate(self.messages or ())}
        if self.prompt is not None:
            found["prompt"] = self.prompt
        if self.answer is not None:
            found["answer"] = self.answer
        return found

    @cached_property
    def compiled(self) -> CompiledVariant:
        """The templates, compiled on first use.

        Raises:
            TemplateError: A template has a syntax error.
        """
        origin = self.origin or f"variant {self.name}"
        templates = {where: compile_template(source, f"{origin}.{where}") for where, source in self.sources().items()}
        roles = [message["role"] for message in self.messages or ()]
        messages = tuple((role, templates[f"messages[{i}].content"]) for i, role in enumerate(roles))
        return CompiledVariant(templates.get("prompt"), messages, templates.get("answer"))


@dataclass(frozen=True)
class GoldenQuestion:
    """A request whose right answer is known, on which a health check compares a candidate with what answers now.

    Attributes:
        inputs: Of the request.
        expect: The right label; for a text task, texts one of which a right answer has in it, in whatever case.
    """

    inputs: dict[str, str]
    expect: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """Something an app asks for, and the variants among which the policy chooses.

    Attributes:
        name: Unique in a catalogue.
        description: For people.
        kind: Whether the answer is one of ``labels`` or free text.
        inputs: Names of the texts that a request brings.
        labels: Possible answers; empty for free text.
        variants: At least two, one of them named ``plain``.
        probes: Example inputs on which a health check runs every variant.
        file: Name of the file that the task was read from, for messages.
        expected: The right label of each probe, or ``None`` where the file does not say.
        golden: Questions of which no new model or prompt set may get many more wrong.
        version: Of the task file; no part of the fingerprint.
        guard: What its requests and answers must be; no part of the fingerprint.
    """

    name: str
    description: str
    kind: Kind
    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    variants: tuple[Variant, ...]
    probes: tuple[dict[str, str], ...]
    file: str
    expected: tuple[str | None, ...] = ()
    golden: tuple[GoldenQuestion, ...] = ()
    version: Version = UNVERSIONED
    guard: GuardRules = field(default_factory=GuardRules)

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            UnknownVariant: The task has none.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        cause = f"task {self.name} has no variant {name!r}"
        raise UnknownVariant(cause, f"Name one of: {', '.join(variant.name for variant in self.variants)}.")

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of everything that decides an answer; descriptions, the file's name and what checks ask do not."""
        content = {
            "name": self.name,
            "kind": self.kind,
            "inputs": self.inputs,
            "labels": self.labels,
            "variants": [_answer_deciding(variant) for variant in self.variants],
        }
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _answer_deciding(variant: Variant) -> dict[str, object]:
    wanted = {"shots": variant.shots, "passages": variant.passages}
    return {
        **{name: asdict(one) for name, one in wanted.items() if one is not None},
        "name": variant.name,
        "prompt": variant.prompt,
        "messages": variant.messages,
        "answer": variant.answer,
        "sampling": asdict(variant.sampling),
        "verbalizer": dict(variant.verbalizer),
        **({"calibration": dict(variant.calibration)} if variant.calibration else {}),
        **({} if variant.soft_prompt is None else {"soft_prompt": variant.soft_prompt}),
    }
