"""A language model that answers: engine, tokenizer, chat template and resident prefixes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from edge_autoglm.errors import PromptTooLong, RequestError
from edge_autoglm.runtime.decode import Continuation, GeneratedText, TokenStream
from edge_autoglm.runtime.decoding.sampling import make_sampler
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.prefill import MIN_CHUNK, Prefilled, prefill
from edge_autoglm.runtime.prefixes import ResidentPrefixes
from edge_autoglm.runtime.score import Scores, score_labels
from edge_autoglm.runtime.slots import SlotPool
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams, Timings, Usage

__all__ = ["LanguageModel", "TokenStream"]

_RESIDENT_CHUNK = 64
"""Tokens of a prefix that run in one call: a request that comes meanwhile waits for no more than that. On two AVX2
cores, calls of 64 run at 0.92 of the speed of calls of 256."""


class LanguageModel:
    """Thread-safe: any number of threads may ask at once; each request takes one KV slot of the engine.

    A request leaves nothing behind in its slot that another could see: what stays are the resident prefixes.

    Args:
        engine: Owned by this object from now on; ``close`` closes it.
        tokenizer: Of the same model.
        chat: Its chat template, or ``None`` for a base model.
        eos_token_ids: Tokens that end an answer.
        add_bos_id: Token in front of every prompt, if the model wants one.
        prefill_chunk: Tokens of a prompt that run in one call; other requests take their turn in between.
        seed: Of the seeds drawn for sampled requests that bring none; ``None`` draws it from the system.
        slot_timeout: Seconds that a request waits for a slot.

    Raises:
        RequestError: ``prefill_chunk`` is below 2.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        chat: ChatTemplate | None,
        eos_token_ids: Sequence[int],
        add_bos_id: int | None,
        prefill_chunk: int = 256,
        seed: int | None = None,
        *,
        slot_timeout: float = 60.0,
    ) -> None:
        if prefill_chunk < MIN_CHUNK:
            raise RequestError(f"prefill_chunk is {prefill_chunk}", f"Give {MIN_CHUNK} or more.")
        self.engine = engine
        self.tokenizer = tokenizer
        self.chat = chat
        self.prefixes = ResidentPrefixes(engine.facts)
        self.slots = SlotPool(engine.facts.slots)
        self._eos_token_ids = frozenset(eos_token_ids)
        self._add_bos_id = add_bos_id
        self._prefill_chunk = prefill_chunk
        self._slot_timeout = slot_timeout
        self._draw_seed = _seed_source(seed)

    @property
    def fingerprint(self) -> str:
        """Of engine and tokenizer together: equal ones give equal tokens."""
        parts = f"{self.engine.facts.fingerprint} {self.tokenizer.fingerprint}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a prompt, with BOS if the model wants one.

        Raises:
            PromptTooLong: A slot has no room for it and one new token.
        """
        tokens = self._with_bos(self.tokenizer.encode(text))
        self._check_fits(len(tokens) + 1)
        return tokens

    def make_resident(self, text: str) -> int:
        """Keep the KV of a text with which prompts begin, so that they start behind it.

        The last tokens, which could merge with what follows, are left out. A slot is used while computing only.

        Returns:
            Tokens that had to be prefilled; 0 if it was resident (or shared) already.

        Raises:
            PromptTooLong: A slot has no room for it and one new token.
            RequestError: No slot became free in time.
        """
        tokens = self._with_bos(self.tokenizer.stable_tokens(text))
        self._check_fits(len(tokens) + 1)
        if len(tokens) < MIN_CHUNK or self.prefixes.adopt(tokens):
            return 0
        with self.slots.acquire(self._slot_timeout) as slot:
            chunk = min(self._prefill_chunk, _RESIDENT_CHUNK)
            filled = prefill(self.engine, slot, tokens, self.prefixes, chunk)
            self.prefixes.add(tokens, self.engine.copy_out(slot, len(tokens)))
        return len(tokens) - filled.num_cached_tokens

    def stream(self, tokens: Sequence[int], params: SamplingParams) -> TokenStream:
        """Continue a prompt.

        Args:
            tokens: From ``encode_prompt``.
            params: How to decode.

        Returns:
            The text as it comes. Waiting for a slot and the work begin with the first piece asked for.

        Raises:
            PromptTooLong: A slot has no room for the prompt and one new token.
            RequestError: The prompt is empty, or the seed negative; while reading: no slot became free in time.
        """
        self._check_prompt(tokens)
        self._check_fits(len(tokens) + 1)
        continuation = Continuation(
            engine=self.engine,
            acquire=lambda: self.slots.acquire(self._slot_timeout),
            fill=lambda slot: self._prefill(slot, tokens),
            sampler=make_sampler(params, self._seed_of(params)),
            eos_token_ids=self._eos_token_ids,
            limit=min(params.max_new_tokens, self.engine.facts.capacity - len(tokens)),
            text=GeneratedText(self.tokenizer, params.stop),
        )
        return TokenStream(continuation, prompt_tokens=len(tokens))

    def score(self, tokens: Sequence[int], labels: Sequence[Sequence[int]]) -> Scores:
        """How probable each label is as the continuation of a prompt.

        Takes one forward pass if every label is one token, else one more for each longer label.

        Args:
            tokens: From ``encode_prompt``.
            labels: Token ids, from ``label_tokens``.

        Raises:
            PromptTooLong: A slot has no room for the prompt and the longest label.
            RequestError: No labels, an empty label or prompt, or no slot became free in time.
        """
        self._check_prompt(tokens)
        if not labels or not all(labels):
            raise RequestError("a label to score has no tokens", "Give at least one label, none of them empty.")
        self._check_fits(len(tokens) + max(map(len, labels)))
        started = time.perf_counter()
        with self.slots.acquire(self._slot_timeout) as slot:
            queue = time.perf_counter() - started
            filled = self._prefill(slot, tokens)
            logprobs = score_labels(self.engine, slot, filled.logits, len(tokens), labels)
        total = time.perf_counter() - started
        usage = Usage(prompt_tokens=len(tokens), num_cached_tokens=filled.num_cached_tokens, new_tokens=0)
        return Scores(logprobs, usage, Timings(queue=queue, ttft=total, total=total))

    def label_tokens(self, prompt_text: str, label_text: str) -> list[int]:
        """Tokens of a label as they stand behind the prompt.

        If the prompt's last token would merge with the label, the label is encoded on its own.
        """
        prompt = self.tokenizer.encode(prompt_text)
        whole = self.tokenizer.encode(prompt_text + label_text)
        if len(whole) > len(prompt) and whole[: len(prompt)] == prompt:
            return whole[len(prompt) :]
        return self.tokenizer.encode(label_text)

    def fork(self, slots: int) -> LanguageModel:
        """The same weights, with slots and resident prefixes of its own; seeds go on being drawn from one source."""
        fork = LanguageModel(
            self.engine.fork(slots),
            self.tokenizer,
            self.chat,
            tuple(self._eos_token_ids),
            self._add_bos_id,
            self._prefill_chunk,
            slot_timeout=self._slot_timeout,
        )
        fork._draw_seed = self._draw_seed
        return fork

    def close(self) -> None:
        """Free the KV state; open streams fail at their next token. Idempotent."""
        self.engine.close()

    def _prefill(self, slot: int, tokens: Sequence[int]) -> Prefilled:
        return prefill(self.engine, slot, tokens, self.prefixes, self._prefill_chunk)

    def _with_bos(self, tokens: list[int]) -> list[int]:
        if self._add_bos_id is None or tokens[:1] == [self._add_bos_id]:
            return tokens
        return [self._add_bos_id, *tokens]

    def _seed_of(self, params: SamplingParams) -> int:
        if params.seed is not None:
            return params.seed
        return self._draw_seed() if params.temperature > 0 else 0

    def _check_prompt(self, tokens: Sequence[int]) -> None:
        if not tokens:
            raise RequestError("the prompt is empty", "Give it some text.")

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
