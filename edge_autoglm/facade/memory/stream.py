"""A streamed answer that becomes a turn of its conversation when it has been read."""

from __future__ import annotations

from collections.abc import Callable

from edge_autoglm.facade.streams import CompletionStream
from edge_autoglm.runtime.requests.stream import TokenStream


class TurnStream(CompletionStream):
    """Streamed answer in a conversation.

    Args:
        pieces: Of the answer.
        generation: Number of the one that answers.
        keep: Told the whole answer, once it has been read to its end.
        ended: Told when the stream ends, however it does.
    """

    def __init__(
        self, pieces: TokenStream, generation: int, keep: Callable[[str], None], ended: Callable[[], None]
    ) -> None:
        super().__init__(pieces, generation)
        self._keep = keep
        self._ended = ended
        self._open = True

    def __next__(self) -> str:
        try:
            return super().__next__()
        except BaseException:
            self._end()
            raise

    async def __anext__(self) -> str:
        try:
            return await super().__anext__()
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """Stop decoding, give the KV slot back, and keep nothing of the turn. Idempotent."""
        super().close()
        self._end()

    def __del__(self) -> None:
        if getattr(self, "_open", False):  # not where making it failed
            self.close()

    def _end(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            if self._finished:
                self._keep(self.text)
        finally:
            self._ended()
