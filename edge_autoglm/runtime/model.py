"""A language model that answers: engine, tokenizer, chat template, scheduler and the KV that is held."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from edge_autoglm.device.placement import IN_PYTHON, Placement
from edge_autoglm.errors import EngineError, PromptTooLong, RequestError
from edge_autoglm.runtime.decoding.grammar import GrammarCompiler
from edge_autoglm.runtime.decoding.lookup import LookupDrafter
from edge_autoglm.runtime.decoding.sampling import Sampler
from edge_autoglm.runtime.decoding.step_cost import StepCost
from edge_autoglm.runtime.engine import Engine, Logits
from edge_autoglm.runtime.kv.soft_prompt import SoftPrompt
from edge_autoglm.runtime.kv.store import KVStore, Pin
from edge_autoglm.runtime.kv.virtual_tokens import count_virtual
from edge_autoglm.runtime.requests.generate import Generation
from edge_autoglm.runtime.requests.output import GeneratedText, Output
from edge_autoglm.runtime.requests.reside import prefilled, residency
from edge_autoglm.runtime.requests.score import Scores, Scoring
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.requests.trial import observation, trial
from edge_autoglm.runtime.schedule.job import Job, JobFuture, Steps
from edge_autoglm.runtime.schedule.running import MIN_CHUNK
from edge_autoglm.runtime.schedule.scheduler import Scheduler
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.runtime.urgency import UNHURRIED, Urgency
from edge_autoglm.values import SamplingParams

Result = TypeVar("Result")

_MAX_DRAFT = 16
"""Tokens of a look-up draft."""

_KV_BYTES = 256 << 20
"""Budget of a KV store that nobody else shares."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """How much a model takes on.

    Attributes:
        prefill_chunk: Tokens of a prompt that run in one step; 2 or more.
        max_waiting: Requests that may wait for a slot.
        slot_timeout: Seconds that a request waits for one.
        speculate: Verify drafts by prompt look-up, where that cannot change an answer.
    """

    prefill_chunk: int = 256
    max_waiting: int = 256
    slot_timeout: float = 60.0
    speculate: bool = True

    def __post_init__(self) -> None:
        if self.prefill_chunk < MIN_CHUNK:
            raise RequestError(f"prefill_chunk is {self.prefill_chunk}", f"Give {MIN_CHUNK} or more.")


class LanguageModel:
    """Thread-safe: any number of threads may ask at once; requests share the steps of the engine.

    Args:
        engine: Owned by this object from now on; ``close`` closes it.
        tokenizer: Of the same model.
        chat: Its chat template, or ``None`` for a base model.
        eos_token_ids: Tokens that end an answer.
        add_bos_id: Token in front of every prompt, if the model wants one.
        kv: Where KV outlives requests: shared with other models over the same engine. ``None`` makes one.
        limits: How much it takes on.
        seed: Of the seeds drawn for sampled requests that bring none; ``None`` draws it from the system.
        placement: Where the engine runs.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        chat: ChatTemplate | None,
        eos_token_ids: Sequence[int],
        add_bos_id: int | None,
        kv: KVStore | None = None,
        limits: ModelLimits | None = None,
        *,
        seed: int | None = None,
        placement: Placement = IN_PYTHON,
    ) -> None:
        self.engine = engine
        self.placement = placement
        self.tokenizer = tokenizer
        self.chat = chat
        self.kv = KVStore(engine.facts.fingerprint, _KV_BYTES) if kv is None else kv
        self.limits = limits or ModelLimits()
        self.scheduler = Scheduler(engine, self.limits.prefill_chunk, self.limits.max_waiting)
        self.eos_token_ids = frozenset(eos_token_ids)
        self.add_bos_id = add_bos_id
        self._grammars = GrammarCompiler(tokenizer, engine.facts.vocab_size, tuple(eos_token_ids))
        self._step_cost = StepCost()
        self._pins: list[Pin] = []
        self._soft_prompts: dict[str, tuple[int, ...]] = {}
        self._closed = False
        self._draw_seed = _seed_source(seed)

    @property
    def fingerprint(self) -> str:
        """Of engine and tokenizer together: equal ones give equal tokens."""
        parts = f"{self.engine.facts.fingerprint} {self.tokenizer.fingerprint}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def encode_prompt(self, text: str, soft_prompt: str | None = None) -> list[int]:
        """Token ids of a prompt, with BOS if the model wants one, behind the virtual ones of a soft prompt.

        Raises:
            PromptTooLong: A slot has no room for it and one new token.
            EngineError: The model does not hold the soft prompt.
        """
        tokens = [*self.soft_prompt_tokens(soft_prompt), *self._with_bos(self.tokenizer.encode(text))]
        self._check_fits(len(tokens) + 1)
        return tokens

    def hold_soft_prompt(self, name: str, soft_prompt: SoftPrompt) -> None:
        """Keep the KV of trained embeddings until ``close``, for prompts that begin with them.

        Raises:
            EngineError: It is of another engine.
            MemoryBudgetExceeded: The KV store has no room.
        """
        self._pins.append(self.kv.put_pinned(soft_prompt.tokens, soft_prompt.segment))
        self._soft_prompts[name] = soft_prompt.tokens

    def pin_soft_prompt(self, name: str) -> bool:
        """Keep a soft prompt that the model was forked with until ``close``; whether it is held."""
        return name in self._soft_prompts and self.pin(self._soft_prompts[name])

    def soft_prompt_tokens(self, name: str | None) -> tuple[int, ...]:
        """The virtual tokens in front of a prompt; none where no soft prompt is named.

        Raises:
            EngineError: The model does not hold it.
        """
        if name is None:
            return ()
        if name not in self._soft_prompts:
            raise EngineError(
                f"the model does not hold the soft prompt {name}",
                "Open the bundle whose task file names it; it is loaded with the bundle.",
            )
        return self._soft_prompts[name]

    def make_resident(self, text: str, soft_prompt: str | None = None) -> tuple[tuple[int, ...], int]:
        """Keep the KV of a text with which prompts begin, so that they start behind it, until ``close``.

        The last tokens, which could merge with what follows, are left out.

        Returns:
            The tokens that are resident, and how many of them had to be computed.

        Raises:
            PromptTooLong: A slot has no room for it and one new token.
            MemoryBudgetExceeded: The KV store has no room.
            RequestError: No slot became free in time.
        """
        virtual, own = self.soft_prompt_tokens(soft_prompt), self._with_bos(self.tokenizer.stable_tokens(text))
        tokens = (*virtual, *own) if len(own) >= MIN_CHUNK else virtual
        self._check_fits(len(tokens) + 1)
        if not tokens:
            return (), 0
        if self.pin(tokens):
            return tokens, 0
        pin, computed = self._run(residency(self.kv, tokens), UNHURRIED).result()
        self._pins.append(pin)
        return tokens, computed

    def pin(self, tokens: Sequence[int]) -> bool:
        """Keep KV that is held already until ``close``; whether all of it is."""
        if self.kv.covered(tokens) < len(tokens):
            return False
        try:
            self._pins.append(self.kv.pin(tokens))
        except EngineError:  # evicted at this very moment
            return False
        return True

    def prefill(self, tokens: Sequence[int], urgency: Urgency | None = None) -> None:
        """Compute a prompt that several requests will bring, and hold its KV while the budget allows."""
        if self.kv.covered(tokens) < len(tokens):
            self._run(prefilled(self.kv, tokens), urgency).result()

    def stream(
        self, tokens: Sequence[int], params: SamplingParams, urgency: Urgency | None = None, *, keep: bool = False
    ) -> TokenStream:
        """Continue a prompt; work begins at once.

        Args:
            tokens: From ``encode_prompt``.
            params: How to decode.
            urgency: When.
            keep: Hold its KV for prompts that go on from here, as a conversation does, while the budget allows.

        Raises:
            PromptTooLong: A slot has no room for the prompt and one new token.
            RequestError: The prompt is empty, or the constraint unusable.
            Overloaded: Too many requests wait.
        """
        self._check_prompt(tokens)
        self._check_fits(len(tokens) + 1)
        exact = self.engine.facts.exact_decode
        output = Output(prompt_tokens=len(tokens))
        generation = Generation(
            kv=self.kv,
            tokens=tokens,
            sampler=Sampler(params, self._seed_of(params), tokens[count_virtual(tokens) :]),
            text=GeneratedText(self.tokenizer, params.stop),
            output=output,
            eos_token_ids=self.eos_token_ids,
            limit=min(params.max_new_tokens, self.engine.facts.capacity - len(tokens)),
            least=params.min_new_tokens,
            matcher=None if params.constraint is None else self._grammars.compile(params.constraint).matcher(),
            make_drafter=self._drafter if exact and self.limits.speculate else None,
            step_cost=self._step_cost if exact else None,
            keep_prompt=keep,
            keep_answer=keep and exact,
        )
        return TokenStream(output, self._run(generation.steps, urgency))

    def score(self, tokens: Sequence[int], labels: Sequence[Sequence[int]], urgency: Urgency | None = None) -> Scores:
        """``submit_score``, waited for."""
        return self.submit_score(tokens, labels, urgency).result()

    def submit_score(
        self, tokens: Sequence[int], labels: Sequence[Sequence[int]], urgency: Urgency | None = None
    ) -> Future[Scores]:
        """How probable each label is as the continuation of a prompt.

        Takes one forward pass if at most one label is longer than a token, else one more for each further one.

        Args:
            tokens: From ``encode_prompt``.
            labels: Token ids, from ``label_tokens``.
            urgency: When.

        Raises:
            PromptTooLong: A slot has no room for the prompt and the longest label.
            RequestError: No labels, an empty label or prompt.
            EngineError: A label holds an id outside the vocabulary.
            Overloaded: Too many requests wait.
        """
        self._check_prompt(tokens)
        if not labels or not all(labels):
            raise RequestError("a label to score has no tokens", "Give at least one label, none of them empty.")
        self._check_labels(labels)
        self._check_fits(len(tokens) + max(map(len, labels)))
        return self._run(Scoring(self.kv, tokens, labels).steps, urgency)

    def try_out(self, tokens: Sequence[int], decode_steps: int = 0) -> Logits:
        """Run tokens through the engine, and the last one again as many times, beside all that is held.

        Returns:
            Logits ``[vocab_size]`` behind the tokens.
        """
        return self._run(trial(tokens, decode_steps), UNHURRIED).result()

    def observe(self, tokens: Sequence[int]) -> Logits:
        """Run tokens through the engine, beside all that is held.

        Returns:
            Logits ``[len(tokens), vocab_size]`` behind each of them.
        """
        return self._run(observation(tokens), UNHURRIED).result()

    def label_tokens(self, prompt_text: str, label_text: str) -> list[int]:
        """Tokens of a label as they stand behind the prompt.

        If the prompt's last token would merge with the label, the label is encoded on its own.
        """
        prompt = self.tokenizer.encode(prompt_text)
        whole = self.tokenizer.encode(prompt_text + label_text)
        if len(whole) > len(prompt) and whole[: len(prompt)] == prompt:
            return whole[len(prompt) :]
        return self.tokenizer.encode(label_text)

    def fork(self, slots: int = 1) -> LanguageModel:
        """The same weights and held KV, with slots and pins of its own; seeds go on being drawn from one source.

        One slot is enough for what is built and checked beside the requests; ``join`` then gives it those of a model
        that serves.
        """
        fork = LanguageModel(
            self.engine.fork(slots),
            self.tokenizer,
            self.chat,
            tuple(self.eos_token_ids),
            self.add_bos_id,
            self.kv,
            self.limits,
            placement=self.placement,
        )
        fork._draw_seed = self._draw_seed
        fork._grammars = self._grammars
        fork._step_cost = self._step_cost
        fork._soft_prompts.update(self._soft_prompts)
        return fork

    def join(self, serving: LanguageModel) -> None:
        """Run requests in the slots of another model over the same weights, and give up those of its own.

        Streams of both then decode in one batch: in slots of their own, each of the two would wait for the other's
        steps. Requests of its own that run now fail.

        Args:
            serving: Each of the two may be closed before the other.

        Raises:
            EngineError: ``serving`` is closed.
        """
        if self.scheduler is serving.scheduler:
            return
        own, self.scheduler = self.scheduler, serving.scheduler.share()
        self.engine = serving.engine
        own.close()

    def shares_weights(self, other: LanguageModel) -> bool:
        """Whether one is a fork of the other; a model that was loaded anew may claim the same weights only."""
        return self.kv is other.kv

    def close(self) -> None:
        """Free the KV state; requests that run in slots of its own fail. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.scheduler.close()
        for pin in self._pins:
            pin.release()

    def _run(self, steps: Callable[[Seat], Steps[Result]], urgency: Urgency | None) -> JobFuture[Result]:
        urgency = urgency or Urgency()
        now = time.monotonic()
        job = Job(
            steps,
            urgency.priority,
            None if urgency.deadline is None else now + urgency.deadline,
            now + self.limits.slot_timeout,
        )
        return self.scheduler.submit(job).future

    def _drafter(self, tokens: Sequence[int]) -> LookupDrafter:
        return LookupDrafter(tokens[count_virtual(tokens) :], _MAX_DRAFT, self._step_cost, self.eos_token_ids)

    def _with_bos(self, tokens: list[int]) -> list[int]:
        if self.add_bos_id is None or tokens[:1] == [self.add_bos_id]:
            return tokens
        return [self.add_bos_id, *tokens]

    def _seed_of(self, params: SamplingParams) -> int:
        if params.seed is not None:
            return params.seed
        return 0 if params.greedy else self._draw_seed()

    def _check_prompt(self, tokens: Sequence[int]) -> None:
        if not tokens or tokens[-1] < 0:
            raise RequestError("the prompt is empty", "Give it some text.")

    def _check_labels(self, labels: Sequence[Sequence[int]]) -> None:
        size = self.engine.facts.vocab_size
        outside = next((token for label in labels for token in label if not 0 <= token < size), None)
        if outside is not None:
            raise EngineError(
                f"a label has token id {outside}, outside the vocabulary of {size}",
                "Use the tokenizer that belongs to the model.",
            )

    def _check_fits(self, total: int) -> None:
        capacity = self.engine.facts.capacity
        if total > capacity:
            raise PromptTooLong(
                f"prompt and answer need at least {total} tokens, a KV slot holds {capacity}",
                "Shorten the text, or open the runtime with a larger context.",
            )


def _seed_source(seed: int | None) -> Callable[[], int]:
    """Draws request seeds from one stream, in the order of the calls, whichever thread they come from."""
    rng = np.random.default_rng(seed)
    drawing = threading.Lock()

    def draw() -> int:
        with drawing:
            return int(rng.integers(2**63))

    return draw
