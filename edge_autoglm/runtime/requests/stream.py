"""The text of one request, as it comes."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from types import TracebackType

from edge_autoglm.runtime.requests.channel import Closed
from edge_autoglm.runtime.requests.output import Output
from edge_autoglm.runtime.schedule.job import JobFuture
from edge_autoglm.values import Timings, TokenLogprob, Usage


class TokenStream:
    """Text pieces, never half a character; figures are final once it has ended.

    The request runs whether or not somebody reads. Closing the stream, or dropping it, cancels the request. Read it
    from one thread at a time, or in an event loop.

    Args:
        output: Of the request.
        future: Of the request.
    """

    def __init__(self, output: Output, future: JobFuture[Output]) -> None:
        self._output = output
        self._pieces: list[str] = []
        self.future = future
        channel = output.channel
        future.add_done_callback(lambda done: channel.end(None if done.cancelled() else done.exception()))
        self._dropped = weakref.finalize(self, future.interest.lose)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return self._seen(self._output.channel.get())
        except Closed:
            raise StopIteration from None

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        try:
            return self._seen(await self._output.channel.get_async())
        except Closed:
            raise StopAsyncIteration from None

    def __enter__(self) -> TokenStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the request, if it has not ended; pieces that were not read are dropped. Idempotent."""
        self._dropped.detach()
        self.future.cancel()
        self._output.channel.close()

    def read(self) -> str:
        """Wait for the end; the whole text."""
        for _ in self:
            pass
        return self.text

    @property
    def text(self) -> str:
        """All pieces read so far."""
        return "".join(self._pieces)

    @property
    def finish_reason(self) -> str | None:
        """Why it ended: ``"eos"``, ``"stop"`` (a stop text) or ``"length"`` (``max_new_tokens``, or the slot is full).

        ``None`` until then, and after ``close``.
        """
        return self._output.finish_reason

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """Of the tokens so far, if they were asked for."""
        return tuple(self._output.logprobs)

    @property
    def usage(self) -> Usage:
        """Token counts so far."""
        return self._output.usage

    @property
    def timings(self) -> Timings:
        """Seconds since the call."""
        return self._output.timings

    def _seen(self, piece: str) -> str:
        self._pieces.append(piece)
        return piece
