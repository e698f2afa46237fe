"""A job under way: what it asked for, and how much of that is done."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edge_autoglm.runtime.engine import Chunk, KVSegment, Logits
from edge_autoglm.runtime.schedule.job import Append, Job
from edge_autoglm.runtime.schedule.seat import Seat

_log = logging.getLogger("edge_autoglm")

MIN_CHUNK = 2
"""A chunk of one token would be a decode step, which may round differently (see ``runtime/engine.py``)."""


class Running:
    """A job in a seat, or parked without one.

    Args:
        job: The job.
        number: Of arrival.
        seat: Where it begins.

    Raises:
        StopIteration: The job has come to its end and ran nothing; the value is its result.
        Exception: Whatever it failed with.
    """

    def __init__(self, job: Job[Any], number: int, seat: Seat) -> None:
        self.job = job
        self.number = number
        self.seat = seat
        self._steps = job.steps(seat)
        self._parked: KVSegment | None = None
        self._ask(next(self._steps))

    @property
    def rank(self) -> tuple[int, int]:
        """Who goes first: the smaller one."""
        return (self.job.priority, self.number)

    @property
    def left(self) -> int:
        """Tokens that it asked for and that have not run."""
        return len(self._append.tokens) - self._done

    def chunk(self, limit: int) -> Chunk:
        """The next tokens, up to a limit; one more rather than leave a single one.

        Where more are left, the chunk ends at the end of a page of the engine, and a limit below a page is not kept: a
        page takes a step whatever part of it is new.
        """
        begin, count = self._done, len(self._append.tokens)
        end = begin + (limit if limit >= self.left else self._whole_pages(limit))
        if count - end < MIN_CHUNK:
            end = count
        wanted = [offset - begin for offset in self._append.logits_at if begin <= offset < end]
        return Chunk(self.seat.slot, self._append.tokens[begin:end], wanted)

    def take(self, chunk: Chunk, logits: Logits) -> None:
        """Take the logits of a chunk that has run.

        Raises:
            StopIteration: The job has come to its end; the value is its result.
            Exception: Whatever it failed with.
        """
        self._done += len(chunk.tokens)
        if len(chunk.positions()):
            self._logits.append(logits)
        if self.left:
            return
        parts = self._logits or [logits]
        self._ask(self._steps.send(parts[0] if len(parts) == 1 else np.concatenate(parts)))

    def park(self) -> None:
        """Move the KV out of the slot, which another job needs."""
        self._parked = self.seat.copy_out(0, self.seat.length)

    def resume(self, slot: int) -> None:
        """Go on in another slot."""
        self.seat.slot = slot
        if self._parked is not None:
            self.seat.copy_in([self._parked])
            self._parked = None

    def stop(self) -> None:
        """End it before its time. What goes wrong in that is logged: its result is settled elsewhere."""
        try:
            self._steps.close()
        except BaseException:
            _log.exception("a request failed while it was stopped")

    def _whole_pages(self, limit: int) -> int:
        """A limit that ends where a page of the engine does."""
        page, held = self.seat.engine.facts.page, self.seat.length
        end, least = held + limit, held + MIN_CHUNK
        return max(end // page, -(-least // page)) * page - held

    def _ask(self, append: Append) -> None:
        self._append = append
        self._done = 0
        self._logits: list[Logits] = []
