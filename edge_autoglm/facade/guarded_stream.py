"""A streamed answer that the guard looks at as it comes.

Texts that are forbidden and answers that are too long end the stream at the piece that shows it, which is not handed
out; pieces before it were. What only a whole answer shows (empty, broken, not among those allowed) is told in place of
the end. So a stream that raises `OutputRejected` may have given a beginning: an app that must not show one uses
``Runtime.run``.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_autoglm.errors import OutputRejected
from edge_autoglm.facade.guarding import AnswerCheck
from edge_autoglm.facade.streams import ReplyStream
from edge_autoglm.runtime.requests.stream import TokenStream
from edge_autoglm.values import Decision, Explanation, Reply


class GuardedStream(ReplyStream):
    """Streamed answer to a task; raises `OutputRejected`, once, where the guard refuses it."""

    def __init__(
        self,
        pieces: TokenStream,
        generation: int,
        decision: Decision,
        explain: Callable[[], Explanation],
        check: AnswerCheck,
    ) -> None:
        super().__init__(pieces, generation, decision, explain)
        self._check = check
        self._refused: OutputRejected | None = None
        self._ended = False

    def __next__(self) -> str:
        if self._refused is not None:
            raise StopIteration
        try:
            piece = super().__next__()
        except StopIteration:
            self._judge_whole()
            raise
        return self._judged(piece)

    async def __anext__(self) -> str:
        if self._refused is not None:
            raise StopAsyncIteration
        try:
            piece = await super().__anext__()
        except StopAsyncIteration:
            self._judge_whole()
            raise
        return self._judged(piece)

    @property
    def reply(self) -> Reply:
        """The whole answer, once the iteration has ended.

        Raises:
            OutputRejected: It was refused.
        """
        if self._refused is not None:
            raise self._refused
        return super().reply

    def _judged(self, piece: str) -> str:
        try:
            self._check.part(piece)
        except OutputRejected as error:
            self._refused = error
            self.close()
            raise
        return piece

    def _judge_whole(self) -> None:
        if not self._finished or self._ended:
            return
        self._ended = True
        try:
            self._check.whole(self.text.strip())
        except OutputRejected as error:
            self._refused = error
            raise
