"""Answers that arrive piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.values import Completion, Decision, Explanation, Reply


class _TextStream:
    """Iterates over text pieces, in a thread or in an event loop; closing or dropping it cancels the request."""

    def __init__(self, pieces: TokenStream, generation: int) -> None:
        self._pieces = pieces
        self._generation = generation
        self._finished = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return next(self._pieces)
        except StopIteration:
            self._finished = self._answered
            raise

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._finished = self._answered
            raise

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return self._pieces.text

    def close(self) -> None:
        """Stop decoding and give the KV slot back. Idempotent."""
        self._pieces.close()

    @property
    def _answered(self) -> bool:
        """Whether what was read is the whole answer, not what a cancelled or failed request had said so far."""
        ended = self._pieces.future
        return not ended.cancelled() and ended.exception() is None

    def _check_finished(self) -> None:
        if not self._finished:
            raise RequestError("the stream has not ended", "Iterate to its end first, without closing it.")


class CompletionStream(_TextStream):
    """Streamed answer to a free prompt."""

    @property
    def completion(self) -> Completion:
        """The whole answer, once the iteration has ended."""
        self._check_finished()
        return completion_of(self._pieces, self._generation)


class ReplyStream(_TextStream):
    """Streamed answer to a task."""

    def __init__(
        self, pieces: TokenStream, generation: int, decision: Decision, explain: Callable[[], Explanation]
    ) -> None:
        super().__init__(pieces, generation)
        self._decision = decision
        self._explain = explain

    @property
    def id(self) -> str:
        """Decision id; hand it to ``Runtime.feedback``."""
        return self._decision.id

    @property
    def reply(self) -> Reply:
        """The whole answer, once the iteration has ended."""
        self._check_finished()
        pieces, decision = self._pieces, self._decision
        return Reply(
            id=decision.id,
            text=pieces.text.strip(),
            label=None,
            variant=decision.arm,
            propensity=decision.propensity,
            generation=self._generation,
            usage=pieces.usage,
            timings=pieces.timings,
            scores={},
            explainer=self._explain,
        )


def completion_of(stream: TokenStream, generation: int) -> Completion:
    """The answer of a stream that has been read to its end."""
    return Completion(
        text=stream.text,
        finish_reason=stream.finish_reason or "stop",
        generation=generation,
        usage=stream.usage,
        timings=stream.timings,
        logprobs=stream.logprobs,
    )
