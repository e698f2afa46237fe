"""Asks the model. Each candidate's static prefix is computed once, and its examples run several at a time behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Generic, TypeVar

from edge_autoglm.errors import EngineError, EvolveError
from edge_autoglm.evolve.answers import Outcome, example_key
from edge_autoglm.evolve.store import ScoreStore
from edge_autoglm.facade.futures import in_order, then
from edge_autoglm.prompts.render import label_texts, static_prefix
from edge_autoglm.prompts.rewrite import Labelled, fingerprint
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.schedule.running import MIN_CHUNK
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.swap.asking import render_request, score_request
from edge_autoglm.values import SamplingParams, Usage

T = TypeVar("T")

Key = tuple[str, str]
"""Fingerprint of a variant, key of an example."""

IN_FLIGHT = 16
"""Requests that run or wait at a time: enough for all slots, few enough to be cancelled at once."""

_SEED = 0
"""Of sampled answers, so that a search repeats itself."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is asked.

    Attributes:
        prompt: Rendered.
        wanted: The text that stands for each label; or how an answer is decoded.
        soft_prompt: That stands in front, if any.
    """

    prompt: str
    wanted: Mapping[str, str] | SamplingParams
    soft_prompt: str | None = None

    @property
    def digest(self) -> str:
        """Names it in a file of scores."""
        wanted = asdict(self.wanted) if isinstance(self.wanted, SamplingParams) else dict(self.wanted)
        asked = [self.prompt, wanted] if self.soft_prompt is None else [self.prompt, wanted, self.soft_prompt]
        canonical = json.dumps(asked, sort_keys=True, ensure_ascii=True, default=str)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


class Scorer:
    """Scores variants on examples, each pair once, and counts what it was asked for.

    Not thread-safe; the model may answer others meanwhile.

    Args:
        model: Scores; not closed here.
        task: Whose variants they are.
        store: Knows what was scored before.
        budget: Prompts that may be scored; ``None`` for any number. One that the store knew counts too, if this scorer
            was not asked for it before, so that a search that goes on does what it would have done in one piece.
        urgency: Of the requests.
        reuse: Keep the KV of static prefixes; ``False`` is for measuring what that is worth.
        told: Called after each prompt with ``calls``, on another thread.
    """

    def __init__(
        self,
        model: LanguageModel,
        task: Task,
        store: ScoreStore,
        budget: int | None = None,
        urgency: Urgency | None = None,
        *,
        reuse: bool = True,
        told: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._task = task
        self._store = store
        self._budget = budget
        self._urgency = urgency or Urgency()
        self._reuse = reuse
        self._told = told or (lambda calls: None)
        self._asked: dict[Key, Outcome] = {}
        self._computed = 0
        self._variants: Names[Variant] = Names(scoring_fingerprint)
        self._examples: Names[Labelled] = Names(example_key)

    @property
    def calls(self) -> int:
        """Prompts that were scored for this scorer, now or before."""
        return len(self._asked)

    @property
    def computed(self) -> int:
        """Of them, those that the model ran; the others were in the store."""
        return self._computed

    @property
    def left(self) -> int:
        """Prompts that may still be scored; very many where there is no budget."""
        return (1 << 62) if self._budget is None else self._budget - self.calls

    def missing(self, variant: Variant, examples: Sequence[Labelled]) -> int:
        """Prompts that ``outcomes`` would add to ``calls``."""
        scored = self._variants.of(variant)
        return sum((scored, self._examples.of(example)) not in self._asked for example in examples)

    def outcomes(self, variant: Variant, examples: Sequence[Labelled]) -> list[Outcome]:
        """What the model answers to each example.

        Raises:
            EvolveError: That is more than the budget leaves.
            EdgeAutoGLMError: The variant cannot be rendered, or does not fit the model.
        """
        scored = self._variants.of(variant)
        keys = [(scored, self._examples.of(example)) for example in examples]
        new = {key: example for key, example in zip(keys, examples, strict=True) if key not in self._asked}
        if len(new) > self.left:
            raise EvolveError(f"{len(new)} prompts are to be scored, the budget leaves {self.left}", "Raise --budget.")
        self._ask(variant, {key: self._question(variant, example) for key, example in new.items()})
        return [self._asked[key] for key in keys]

    def _ask(self, variant: Variant, questions: dict[Key, Question]) -> None:
        for key, question in list(questions.items()):
            known = self._store.get(question.digest)
            if known is not None:
                self._asked[key] = known
                del questions[key]
        if not questions:
            return

        def submit(item: tuple[Key, Question]) -> Future[None]:
            key, question = item
            return then(self._submit(variant, question), lambda outcome: self._keep(key, question, outcome))

        with self._resident(variant):
            in_order(questions.items(), submit, IN_FLIGHT)

    def _keep(self, key: Key, question: Question, outcome: Outcome) -> None:
        """Runs on the scheduler's thread, one at a time."""
        self._store.put(question.digest, outcome)
        self._asked[key] = outcome
        self._computed += 1
        self._told(self.calls)

    def _question(self, variant: Variant, example: Labelled) -> Question:
        prompt = render_request(self._model, self._task, variant, example.inputs)
        if self._task.labels:
            return Question(prompt, label_texts(self._task, variant, prompt), variant.soft_prompt)
        sampling = variant.sampling
        seeded = sampling if sampling.seed is not None else replace(sampling, seed=_SEED)
        return Question(prompt, seeded, variant.soft_prompt)

    def _submit(self, variant: Variant, question: Question) -> Future[Outcome]:
        if not isinstance(question.wanted, SamplingParams):
            scores = score_request(self._model, self._task, variant, question.prompt, self._urgency)
            return then(scores, lambda found: Outcome(tuple(found.logprobs), "", *_tokens(found.usage)))
        prompt = self._model.encode_prompt(question.prompt, variant.soft_prompt)
        stream = self._model.stream(prompt, question.wanted, self._urgency)
        return then(stream.future, lambda _: Outcome((), stream.read().strip(), *_tokens(stream.usage)))

    @contextmanager
    def _resident(self, variant: Variant) -> Iterator[None]:
        """Hold the KV of the static prefix; afterwards it stays for as long as nobody needs the room."""
        tokens = self._prefix(variant) if self._reuse else []
        if len(tokens) < MIN_CHUNK:
            yield
            return
        self._model.prefill(tokens, self._urgency)
        try:
            pin = self._model.kv.pin(tokens)
        except EngineError:  # too large for the KV budget: every prompt is computed whole
            yield
            return
        try:
            yield
        finally:
            pin.release()

    def static_tokens(self, variant: Variant) -> int:
        """Tokens with which all prompts of a variant begin."""
        return len(self._prefix(variant))

    def _prefix(self, variant: Variant) -> list[int]:
        chat = None if self._model.chat is None else self._model.chat.render
        text = static_prefix(self._task, variant, chat)
        stable, bos = list(self._model.tokenizer.stable_tokens(text)), self._model.add_bos_id
        begins = [] if bos is None or stable[:1] == [bos] else [bos]
        return [*self._model.soft_prompt_tokens(variant.soft_prompt), *begins, *stable]


class Names(Generic[T]):
    """What is costly to name and cannot be a key: named once an object."""

    def __init__(self, name: Callable[[T], str]) -> None:
        self._name = name
        self._known: dict[int, tuple[T, str]] = {}

    def of(self, one: T) -> str:
        """Its name."""
        if id(one) not in self._known:
            self._known[id(one)] = one, self._name(one)  # with the object, so that its id stays its own
        return self._known[id(one)][1]


def scoring_fingerprint(variant: Variant) -> str:
    """Of what the model is asked: variants that differ in their calibration only share their scores."""
    return fingerprint(replace(variant, calibration={}))


def _tokens(usage: Usage) -> tuple[int, int]:
    return usage.prompt_tokens, usage.num_cached_tokens
