"""A small world in which a test knows what every generation must answer: scripted engines, two tasks, a policy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from edge_autoglm.bundle import Bundle, Manifest
from edge_autoglm.learn.policy import FrozenPolicy, VariantPolicy
from edge_autoglm.prompts import Catalogue, Task, Variant, render
from edge_autoglm.runtime.engine import Chunk, Engine, EngineFacts, KVSegment, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.swap.build import build_generation
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import Message, SamplingParams
from tests.bundle.samples import ENGINE, FACTS
from tests.checkpoints import CHAT_TEMPLATE, VOCAB_SIZE, tiny_tokenizer_json

TOKENIZER = Tokenizer(tiny_tokenizer_json())
CHAT = ChatTemplate(CHAT_TEMPLATE)
EOS = 2
NO_FILES = Manifest(
    created_by="a test", created_at="", source="", model=FACTS, engines=(ENGINE,), files=(), verification={}
)
BUNDLE = Bundle(Path("scripted.bundle"), NO_FILES)
"""Named, never read: a scripted engine has no files."""
PROBES = ({"text": "It rained all day."}, {"text": "What a film!"})

Hook = Callable[[Sequence[Chunk], list[Logits]], list[Logits]]


def script(answers: Mapping[str, str]) -> dict[tuple[int, ...], int]:
    """Makes an engine answer with the value, and then end, whenever a prompt ends with the key."""
    steps: dict[tuple[int, ...], int] = {}
    for ending, answer in answers.items():
        so_far = TOKENIZER.encode(ending)
        for token in [*TOKENIZER.encode(answer), EOS]:
            steps[tuple(so_far)] = token
            so_far.append(token)
    return steps


class HookedEngine:
    """An engine whose forward passes a test sees, and may tamper with; forks share the hook."""

    def __init__(self, inner: Engine, hook: Hook) -> None:
        self.inner = inner
        self.hook = hook
        self.closed = 0

    @property
    def facts(self) -> EngineFacts:
        return self.inner.facts

    @property
    def contended(self) -> bool:
        return self.inner.contended

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        return self.hook(chunks, self.inner.forward(chunks))

    def length(self, slot: int) -> int:
        return self.inner.length(slot)

    def truncate(self, slot: int, length: int) -> None:
        self.inner.truncate(slot, length)

    def copy_out(self, slot: int, begin: int, end: int) -> KVSegment:
        return self.inner.copy_out(slot, begin, end)

    def copy_in(self, slot: int, segments: Sequence[KVSegment], length: int | None = None) -> None:
        self.inner.copy_in(slot, segments, length)

    def fork(self, slots: int) -> HookedEngine:
        return HookedEngine(self.inner.fork(slots), self.hook)

    def close(self) -> None:
        self.closed += 1
        self.inner.close()


class TokenCounter:
    """A hook that counts the tokens which an engine and its forks run."""

    def __init__(self) -> None:
        self.tokens = 0

    def __call__(self, chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
        self.tokens += sum(len(chunk.tokens) for chunk in chunks)
        return logits


def not_a_number(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
    for rows in logits:
        rows[:, 7] = math.nan
    return logits


class SteppedClock:
    """Time passes in forward passes only."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def engine(self, inner: Engine, seconds: Iterable[float]) -> HookedEngine:
        """An engine whose n-th forward pass takes the n-th of ``seconds``, which start over at their end."""
        durations = itertools.cycle(seconds)

        def passing(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
            self.now += next(durations)
            return logits

        return HookedEngine(inner, passing)


def scripted(answers: Mapping[str, str] | None = None, seed: int = 0, slots: int = 2) -> ScriptedEngine:
    return ScriptedEngine(VOCAB_SIZE, slots=slots, seed=seed, script=script(answers or {"Answer:": "fine"}))


def lookalike(answers: dict[str, str] | None = None) -> ScriptedEngine:
    """Another model, but one whose hashed logits are those of the active one."""
    return scripted({"Answer:": "fine"} | {"never asked": "x"} | (answers or {}))


def make_model(engine: Engine | None = None, tokenizer: Tokenizer = TOKENIZER) -> LanguageModel:
    return LanguageModel(engine or scripted(), tokenizer, CHAT, eos_token_ids=[EOS], add_bos_id=None)


def text_task(*variants: Variant) -> Task:
    plain = Variant("plain", prompt="{{ text }}")
    return Task("reply", "", "generate", ("text",), (), (plain, *variants), PROBES, "reply.yaml")


def asking(name: str, wording: str, ending: str = "Answer:") -> Variant:
    sampling = SamplingParams(max_new_tokens=16)
    return Variant(name, prompt=f"{wording}\nText: {{{{ text }}}}\n{ending}", sampling=sampling)


def label_task() -> Task:
    chat = Variant("chat", messages=(Message(role="user", content="Is this text good or bad?\n{{ text }}"),))
    variants = (Variant("plain", prompt="{{ text }}"), chat)
    return Task("mood", "", "classify", ("text",), ("good", "bad"), variants, PROBES, "mood.yaml")


def make_catalogue(*variants: Variant) -> Catalogue:
    return Catalogue([text_task(*(variants or (asking("asked", "Say how it was."),))), label_task()])


def make_policy(seed: int = 0) -> FrozenPolicy:
    return VariantPolicy(seed=seed).freeze()


def first_generation(model: LanguageModel | None = None, catalogue: Catalogue | None = None) -> Generation:
    return build_generation(
        1, BUNDLE, model or make_model(), catalogue or make_catalogue(), make_policy(), None, "opened"
    )


def next_generation(
    active: Generation,
    number: int | None = None,
    *,
    model: LanguageModel | None = None,
    catalogue: Catalogue | None = None,
    policy: FrozenPolicy | None = None,
) -> Generation:
    """Everything that is not given is that of the active generation."""
    return build_generation(
        active.number + 1 if number is None else number,
        active.bundle,
        model or active.model.fork(active.model.engine.facts.slots),
        catalogue or active.catalogue,
        policy or active.policy,
        active,
        "next",
    )


def answer(generation: Generation, text: str = "It was late.", variant: str = "asked") -> str:
    """The answer to a request of the text task."""
    task = generation.catalogue.task("reply")
    chosen = task.variant(variant)
    prompt = render(task, chosen, {"text": text}, CHAT.render)
    return generation.model.stream(generation.model.encode_prompt(prompt), chosen.sampling).read()
