"""Answers that arrive piece by piece, and the lease that each holds on its generation."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.model import TokenStream
from edge_autoglm.values import Completion, Decision, Reply


class _LeasedStream:
    """Iterates over text pieces; slot and lease end with the iteration, with ``close``, or when nobody holds it."""

    def __init__(self, pieces: TokenStream, lease: ExitStack, generation: int) -> None:
        self._pieces = pieces
        self._generation = generation
        self._finished = False
        self._release = weakref.finalize(self, lease.close)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return next(self._pieces)
        except StopIteration:
            self._finished = True
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return self._pieces.text

    def close(self) -> None:
        """Stop decoding and give the KV slot back. Idempotent."""
        self._pieces.close()
        self._release()

    def _check_finished(self) -> None:
        if not self._finished:
            raise RequestError("the stream has not ended", "Iterate to its end first.")


class CompletionStream(_LeasedStream):
    """Streamed answer to a free prompt."""

    @property
    def completion(self) -> Completion:
        """The whole answer, once the iteration has ended."""
        self._check_finished()
        pieces = self._pieces
        return Completion(pieces.text, pieces.finish_reason or "stop", self._generation, pieces.usage, pieces.timings)


class ReplyStream(_LeasedStream):
    """Streamed answer to a task."""

    def __init__(self, pieces: TokenStream, lease: ExitStack, generation: int, decision: Decision) -> None:
        super().__init__(pieces, lease, generation)
        self._decision = decision

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
        )
