"""The generation loop, and the stream of text that it feeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

from edge_autoglm.runtime.decoding.sampling import Sampler
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.prefill import Prefilled
from edge_autoglm.runtime.text.detokenize import StreamDecoder
from edge_autoglm.runtime.text.stop import StopMatcher
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import Timings, Usage


@dataclass(slots=True)
class StreamRecord:
    """What is known of a request so far: the continuation writes it, the stream reads it."""

    prompt_tokens: int
    started: float = field(default_factory=time.perf_counter)
    num_cached_tokens: int = 0
    new_tokens: int = 0
    queue: float = 0.0
    ttft: float = 0.0
    total: float | None = None
    finish_reason: str | None = None
    pieces: list[str] = field(default_factory=list)

    def elapsed(self) -> float:
        """Seconds since the call."""
        return time.perf_counter() - self.started


@dataclass(frozen=True, slots=True)
class Continuation:
    """One request, ready to run.

    Attributes:
        engine: Runs it.
        acquire: Takes a slot, which is free again when the block ends, for whatever reason.
        fill: Puts the prompt into the slot.
        sampler: Picks each token.
        eos_token_ids: End the text.
        limit: New tokens at most.
        text: Turns tokens into text.
    """

    engine: Engine
    acquire: Callable[[], AbstractContextManager[int]]
    fill: Callable[[int], Prefilled]
    sampler: Sampler
    eos_token_ids: Collection[int]
    limit: int
    text: GeneratedText

    def pieces(self, record: StreamRecord) -> Generator[str, None, None]:
        """Run it, piece by piece. Nothing happens before the first piece is asked for."""
        try:
            with self.acquire() as slot:
                record.queue = record.elapsed()
                yield from self._decode(slot, record)
            self.text.finish()
            yield from self._take(record)
        finally:
            record.total = record.elapsed()

    def _decode(self, slot: int, record: StreamRecord) -> Iterator[str]:
        prefilled = self.fill(slot)
        record.num_cached_tokens = prefilled.num_cached_tokens
        for token in self._tokens(slot, prefilled.logits):
            record.new_tokens += 1
            if record.new_tokens == 1:
                record.ttft = record.elapsed()
            if token in self.eos_token_ids:
                record.finish_reason = "eos"
                return
            self.text.push(token)
            if self.text.stopped:
                record.finish_reason = "stop"
                return
            yield from self._take(record)
        record.finish_reason = "length"

    def _tokens(self, slot: int, logits: Logits) -> Iterator[int]:
        """New tokens. The forward pass over a token runs only when the next one is asked for."""
        for left in reversed(range(self.limit)):
            token = self.sampler(logits)
            yield token
            if left:
                [rows] = self.engine.forward([Chunk(slot, (token,))])
                logits = rows[-1]

    def _take(self, record: StreamRecord) -> Iterator[str]:
        piece = self.text.take()
        if piece:
            record.pieces.append(piece)
            yield piece


class GeneratedText:
    """Text of the tokens pushed so far, up to a stop text.

    Args:
        tokenizer: Of the model.
        stops: Stop texts.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]) -> None:
        self._decoder = StreamDecoder(tokenizer)
        self._matcher = StopMatcher(stops)
        self._ready = ""
        self.stopped = False

    def push(self, token: int) -> None:
        """Append a token."""
        self._append(self._decoder.push(token))

    def finish(self) -> None:
        """Release what was held back."""
        if not self.stopped:
            self._append(self._decoder.finish())
        self._ready += self._matcher.finish()

    def take(self) -> str:
        """Text that is certain and was not taken yet."""
        ready, self._ready = self._ready, ""
        return ready

    def _append(self, text: str) -> None:
        certain, self.stopped = self._matcher.push(text)
        self._ready += certain


class TokenStream:
    """The text of one request, piece by piece; figures are final once it has ended.

    It starts with the first piece asked for, and holds a KV slot until it ends: read it to the end, close it, or drop
    it. Read it from one thread at a time.

    Args:
        continuation: The request.
        prompt_tokens: Length of its prompt.
    """

    def __init__(self, continuation: Continuation, prompt_tokens: int) -> None:
        # The generator must not know the stream: in a reference cycle, dropping the stream would not free the slot.
        self._record = StreamRecord(prompt_tokens)
        self._pieces = continuation.pieces(self._record)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def __enter__(self) -> TokenStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it here and free the slot. Idempotent."""
        self._pieces.close()

    def read(self) -> str:
        """Run to the end; the whole text."""
        for _ in self._pieces:
            pass
        return self.text

    @property
    def text(self) -> str:
        """All pieces so far."""
        return "".join(self._record.pieces)

    @property
    def finish_reason(self) -> str | None:
        """Why it ended: ``"eos"``, ``"stop"`` (a stop text) or ``"length"`` (``max_new_tokens``, or the slot is full).

        ``None`` until then, and after ``close``.
        """
        return self._record.finish_reason

    @property
    def usage(self) -> Usage:
        """Token counts so far; new tokens include the end-of-sequence token and those of a stop text."""
        record = self._record
        return Usage(record.prompt_tokens, record.num_cached_tokens, record.new_tokens)

    @property
    def timings(self) -> Timings:
        """Seconds since the stream was made."""
        record = self._record
        total = record.elapsed() if record.total is None else record.total
        return Timings(record.queue, record.ttft, total)
