"""Requests of every kind whose answers are known: each was asked alone before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from edge_autoglm import Completion, Message, Reply, Runtime, SamplingParams
from edge_autoglm.constraints import JsonSchema, Regex
from edge_autoglm.errors import InputRejected, PromptTooLong, RequestError, UnknownTask, UnknownVariant

TEXTS = ("good", "a great movie", "the film of this user is bad", "the text " * 20)
LABELS = (" good", " bad", " the movie")
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 12},
    "one": {"max_new_tokens": 1},
    "sampled": {"max_new_tokens": 10, "temperature": 0.9, "top_p": 0.95, "seed": 7},
    "penalised": {"max_new_tokens": 10, "repetition_penalty": 1.4, "logprobs": 2},
    "stopped": {"max_new_tokens": 12, "stop": ("a", "th")},
    "pattern": {"max_new_tokens": 24, "constraint": Regex("the (good|bad) film is (great|a text)[.]")},
    "json": {
        "max_new_tokens": 40,
        "temperature": 0.7,
        "seed": 3,
        "constraint": JsonSchema({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}),
    },
}


@dataclass(frozen=True)
class Question:
    """A request.

    Attributes:
        name: Of it.
        submit: Sends it; takes ``priority`` and ``deadline`` by name.
        view: What of an answer must be equal each time.
    """

    name: str
    submit: Callable[..., Future[Any]]
    view: Callable[[Any], object]


def questions(runtime: Runtime) -> list[Question]:
    """One of each kind, over texts of different lengths."""
    made = []
    for number, text in enumerate(TEXTS):
        for variant in ("plain", "framed", "chat"):
            submit = partial(runtime.submit, "mood", {"text": text}, variant=variant)
            made.append(Question(f"mood-{variant}-{number}", submit, _label))
        for variant in ("plain", "answer"):
            submit = partial(runtime.submit, "echo", {"text": text}, variant=variant)
            made.append(Question(f"echo-{variant}-{number}", submit, _text))
        for name, settings in SETTINGS.items():
            made.append(Question(f"{name}-{number}", partial(runtime.submit_generate, text, **settings), _completion))
    return made


def _label(reply: Reply) -> object:
    return reply.label, reply.scores, reply.variant


def _text(reply: Reply) -> object:
    return reply.text, reply.variant


def _completion(completion: Completion) -> object:
    return completion.text, completion.finish_reason, completion.usage.new_tokens, completion.logprobs


def conversation(runtime: Runtime, text: str, **urgency: Any) -> tuple[str, str]:
    """Two turns."""
    messages: list[Message] = [{"role": "user", "content": text}]
    first = runtime.generate(messages, max_new_tokens=6, **urgency).text
    messages += [{"role": "assistant", "content": first}, {"role": "user", "content": "and the text?"}]
    return first, runtime.generate(messages, max_new_tokens=6, **urgency).text


def run_many(runtime: Runtime) -> list[object]:
    """Each reply has its reward: decisions that wait for one are remembered, and would look like a leak."""
    replies = runtime.run_many("mood", [{"text": text} for text in TEXTS], variant="plain")
    for reply in replies:
        runtime.feedback(reply.id, 0.5)
    return [_label(reply) for reply in replies]


STREAMED: dict[str, Callable[..., Any]] = {
    "echo": lambda runtime, **urgency: runtime.stream("echo", {"text": TEXTS[2]}, variant="plain", **urgency),
    "greedy": lambda runtime, **urgency: runtime.generate_stream(TEXTS[3], SamplingParams(20), **urgency),
    "sampled": lambda runtime, **urgency: runtime.generate_stream(
        TEXTS[1], SamplingParams(20, temperature=1.0, seed=5), **urgency
    ),
}

BLOCKING: dict[str, Callable[..., object]] = {
    "score": lambda runtime, **urgency: runtime.score("the film is", LABELS, **urgency),
    "score_many": lambda runtime, **_: runtime.score_many(TEXTS, LABELS),
    "run_many": lambda runtime, **_: run_many(runtime),
    "sample": lambda runtime, **urgency: [
        one.text
        for one in runtime.sample(TEXTS[1], 3, temperature=1.0, seed=5, max_new_tokens=6, **urgency).completions
    ],
    "conversation": lambda runtime, **urgency: conversation(runtime, TEXTS[0], **urgency),
}

BAD: list[tuple[type[Exception], Callable[[Runtime], object]]] = [
    (PromptTooLong, lambda runtime: runtime.run("mood", {"text": "film " * 300})),
    (PromptTooLong, lambda runtime: runtime.generate("z" * 300)),
    (RequestError, lambda runtime: runtime.generate("")),
    (RequestError, lambda runtime: runtime.generate("x", max_new_tokens=0)),
    (RequestError, lambda runtime: runtime.generate("x", temperature=float("nan"))),
    (RequestError, lambda runtime: runtime.generate("x", temperature=-1.0)),
    (RequestError, lambda runtime: runtime.generate("x", top_p=2.0)),
    (RequestError, lambda runtime: runtime.generate("x", seed=-1)),
    (RequestError, lambda runtime: runtime.generate("x", stop=[""])),
    (RequestError, lambda runtime: runtime.generate("x", colour="red")),  # type: ignore[call-arg]
    (RequestError, lambda runtime: runtime.generate("x", priority="high")),  # type: ignore[arg-type]
    (RequestError, lambda runtime: runtime.generate("x", deadline=0.0)),
    (RequestError, lambda runtime: runtime.generate("x", deadline=float("nan"))),
    (RequestError, lambda runtime: runtime.generate("x", constraint=Regex("("))),
    (RequestError, lambda runtime: runtime.generate("x", constraint=JsonSchema({"type": "nonsense"}))),
    (RequestError, lambda runtime: runtime.generate("x", constraint=JsonSchema("["))),
    (RequestError, lambda runtime: runtime.generate([{"text": "x"}])),  # type: ignore[typeddict-unknown-key,typeddict-item]
    (RequestError, lambda runtime: runtime.score("x", [])),
    (RequestError, lambda runtime: runtime.score("x", [""])),
    (RequestError, lambda runtime: runtime.sample("x", 0, temperature=1.0)),
    (RequestError, lambda runtime: runtime.sample("x", 2)),
    (UnknownTask, lambda runtime: runtime.run("weather", {"text": "x"})),
    (UnknownVariant, lambda runtime: runtime.run("mood", {"text": "x"}, variant="nope")),
    (InputRejected, lambda runtime: runtime.run("mood", {})),
    (InputRejected, lambda runtime: runtime.stream("mood", {"text": "x"})),
]


@dataclass(frozen=True)
class Known:
    """What each request answers when it is alone."""

    futures: Mapping[str, object]
    streams: Mapping[str, str]
    blocking: Mapping[str, object]


def ask_alone(runtime: Runtime) -> Known:
    """One after the other, on a runtime that nobody else uses."""
    return Known(
        futures={one.name: one.view(one.submit().result()) for one in questions(runtime)},
        streams={name: "".join(begin(runtime)) for name, begin in STREAMED.items()},
        blocking={name: ask(runtime) for name, ask in BLOCKING.items()},
    )
