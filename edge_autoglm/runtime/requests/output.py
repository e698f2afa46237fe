"""What has come of a generation so far: the scheduler's thread writes it, a reader follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_autoglm.runtime.requests.channel import Channel
from edge_autoglm.runtime.text.detokenize import StreamDecoder
from edge_autoglm.runtime.text.stop import StopMatcher
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import Timings, TokenLogprob, Usage


@dataclass(slots=True)
class Output:
    """Figures and text of one request.

    Attributes:
        prompt_tokens: Length of its prompt.
        channel: Text pieces, for the reader.
        finish_reason: ``"eos"``, ``"stop"`` (a stop text) or ``"length"`` (``max_new_tokens``, or the slot is full);
            ``None`` until it has ended by itself.
        drafted, accepted: Tokens that were speculated on, and those of them that were right.
    """

    prompt_tokens: int
    channel: Channel[str] = field(default_factory=Channel)
    started: float = field(default_factory=time.perf_counter)
    num_cached_tokens: int = 0
    new_tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    queue: float = 0.0
    ttft: float = 0.0
    total: float | None = None
    finish_reason: str | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was put, read or not."""
        return "".join(self._pieces)

    def put(self, piece: str) -> None:
        """Append to the text, for the reader too."""
        self._pieces.append(piece)
        self.channel.put(piece)

    @property
    def elapsed(self) -> float:
        """Seconds since the call."""
        return time.perf_counter() - self.started

    @property
    def usage(self) -> Usage:
        """Token counts so far; new tokens include the end-of-sequence token and those of a stop text."""
        return Usage(self.prompt_tokens, self.num_cached_tokens, self.new_tokens, self.drafted, self.accepted)

    @property
    def timings(self) -> Timings:
        """Seconds since the call."""
        return Timings(self.queue, self.ttft, self.elapsed if self.total is None else self.total)

    def count(self) -> None:
        """Note that there is one more token."""
        self.new_tokens += 1
        if self.new_tokens == 1:
            self.ttft = self.elapsed


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
