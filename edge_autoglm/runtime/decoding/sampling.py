"""From logits to the next token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_autoglm.errors import EngineError, RequestError
from edge_autoglm.runtime.decoding.logprobs import check_finite, token_logprob
from edge_autoglm.runtime.decoding.penalties import RepetitionPenalty
from edge_autoglm.runtime.decoding.temperature import temperature_for
from edge_autoglm.runtime.decoding.truncation import Ids, Mask, Weights, kept_tokens, reaching, rule_out
from edge_autoglm.runtime.engine import Logits
from edge_autoglm.values import SamplingParams, TokenLogprob


class Picked(NamedTuple):
    """The next token of a request."""

    token: int
    logprob: TokenLogprob | None
    """``None`` unless the request asks for log-probabilities."""


class Sampler:
    """Picks the tokens of one request, one after the other.

    In this order: repetition penalty, mask, temperature, top-k, top-p, min-p, as ``transformers`` does. A pick depends
    on the logits, on the tokens before it and on the number of picks before it alone: a request gets the same tokens
    whether they were run one by one, cached, batched or speculated. For one thread at a time.

    Args:
        params: Of the request.
        seed: Of its own PCG64 stream, 0 or more. Each pick draws exactly one uniform number; greedy ones draw none.
        prompt_tokens: Penalised as those of the continuation are.
    """

    def __init__(self, params: SamplingParams, seed: int, prompt_tokens: Sequence[int]) -> None:
        self._params = params
        self._rng = None if params.greedy else np.random.Generator(np.random.PCG64(seed))
        penalty = params.repetition_penalty
        self._penalty = None if penalty == 1.0 else RepetitionPenalty(penalty, prompt_tokens)
        self._work = np.empty(0, dtype=np.float32)

    def pick(self, logits: Logits, allowed: Mask | None = None) -> Picked:
        """Choose the next token, and take it as appended.

        Args:
            logits: ``[vocab_size]`` behind the last token; left as they are.
            allowed: ``[vocab_size]``, the tokens to choose from; ``None`` for all.

        Raises:
            EngineError: A logit is NaN or plus infinity, or all of them rule their tokens out.
            RequestError: No allowed token is possible.
        """
        check_finite(float(logits.max()))
        if allowed is not None and allowed.shape != logits.shape:
            raise EngineError(
                f"a mask over {len(allowed)} tokens meets logits of {len(logits)}",
                "Use the tokenizer that belongs to the model.",
            )
        token = self._greedy(logits, allowed) if self._rng is None else self._draw(logits, allowed, self._rng)
        self._note(token)
        top = self._params.logprobs
        return Picked(token, None if top is None else token_logprob(logits, token, top))

    def push(self, token: int) -> None:
        """Take a token that has no alternative as picked: the same numbers are drawn after it as after a pick."""
        if self._rng is not None:
            self._rng.random()
        self._note(token)

    def _note(self, token: int) -> None:
        if self._penalty is not None:
            self._penalty.push(token)

    def distribution(self, logits: Logits, allowed: Mask | None = None) -> tuple[Ids | None, Weights]:
        """What `pick` draws from, for a request that is not greedy.

        Returns:
            Ids in ascending order, or ``None`` for the whole vocabulary, and weights proportional to their
            probabilities; valid until the next call.

        Raises:
            RequestError: No allowed token is possible.
        """
        work = self._processed(logits, allowed)
        return kept_tokens(work, temperature_for(work, self._params), self._params)

    def _greedy(self, logits: Logits, allowed: Mask | None) -> int:
        """The arg-max, the lowest id among equals."""
        token = int((logits if self._penalty is None else self._processed(logits, None)).argmax())
        # Where the arg-max of all tokens is allowed, it is that of the allowed ones.
        return token if allowed is None or allowed[token] else int(self._processed(logits, allowed).argmax())

    def _draw(self, logits: Logits, allowed: Mask | None, rng: np.random.Generator) -> int:
        ids, weights = self.distribution(logits, allowed)
        # The number lies in [0, 1), the sum to reach must lie above 0.
        drawn = reaching(weights, (1.0 - rng.random()) * float(weights.sum(dtype=np.float64)))
        return drawn if ids is None else int(ids[drawn])

    def _processed(self, logits: Logits, allowed: Mask | None) -> Logits:
        """The logits behind penalty and mask, in an array of the sampler's own."""
        if len(self._work) != len(logits):
            self._work = np.empty(len(logits), dtype=np.float32)
        work = self._work
        np.copyto(work, logits)
        if self._penalty is not None:
            self._penalty.apply(work)
        if allowed is not None:
            rule_out(work, allowed)
            if work.max() == -np.inf:
                raise RequestError("the constraint allows no token that the model can produce", "Loosen it.")
        return work
