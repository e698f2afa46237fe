"""Free prompts: continue a text, answer a conversation, score labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

from edge_autoglm.facade.conversation import Prompt, encode
from edge_autoglm.facade.futures import release_with, then
from edge_autoglm.facade.sampling import Samples, sample_answers
from edge_autoglm.facade.streams import CompletionStream, completion_of
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.swap.buffer import DoubleBuffer
from edge_autoglm.swap.generation import Generation
from edge_autoglm.values import Completion, SamplingParams


class FreeRequests:
    """Answers free prompts with the active generation, which each leases for as long as it runs. Thread-safe.

    Args:
        buffer: Has the active generation.
        in_flight: Samples of one call that run or wait at a time.
    """

    def __init__(self, buffer: DoubleBuffer, in_flight: int) -> None:
        self._buffer = buffer
        self._in_flight = in_flight

    def submit(self, prompt: Prompt, params: SamplingParams, urgency: Urgency) -> Future[Completion]:
        """Answer a prompt; see ``Runtime.submit_generate``."""
        pieces, generation = self.pieces(prompt, params, urgency)

        def whole(_: object) -> Completion:
            pieces.read()
            return completion_of(pieces, generation.number)

        return then(pieces.future, whole)

    def stream(self, prompt: Prompt, params: SamplingParams, urgency: Urgency) -> CompletionStream:
        """Answer a prompt piece by piece; see ``Runtime.generate_stream``."""
        pieces, generation = self.pieces(prompt, params, urgency)
        return CompletionStream(pieces, generation.number)

    def sample(
        self,
        prompt: Prompt,
        params: SamplingParams,
        samples: int,
        parse: Callable[[str], Any] | None,
        urgency: Urgency,
    ) -> Samples:
        """Answer a prompt several times; see ``Runtime.sample``."""
        with self._buffer.lease() as generation:
            tokens = encode(generation.model, prompt)
            streams = sample_answers(generation.model, tokens, params, samples, urgency, self._in_flight)
            return Samples.of([completion_of(stream, generation.number) for stream in streams], parse)

    def submit_score(self, prompt: str, labels: Sequence[str], urgency: Urgency) -> Future[dict[str, float]]:
        """Log-probability of each label; see ``Runtime.score``."""
        with ExitStack() as lease:
            model = lease.enter_context(self._buffer.lease()).model
            tokens = [model.label_tokens(prompt, label) for label in labels]
            scores = model.submit_score(model.encode_prompt(prompt), tokens, urgency)
            release_with(scores, lease.pop_all())
        return then(scores, lambda scores: dict(zip(labels, scores.logprobs, strict=True)))

    def pieces(self, prompt: Prompt, params: SamplingParams, urgency: Urgency) -> tuple[TokenStream, Generation]:
        """What is decoded for a prompt, and the generation that decodes it."""
        with ExitStack() as lease:
            generation = lease.enter_context(self._buffer.lease())
            model = generation.model
            pieces = model.stream(encode(model, prompt), params, urgency, keep=True)
            release_with(pieces.future, lease.pop_all())
            return pieces, generation
