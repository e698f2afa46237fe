"""What was measured: one record a request, one a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge_autoglm import Usage


@dataclass(frozen=True, slots=True)
class RequestSample:
    """One request; times in seconds.

    Attributes:
        usage: Token counts, as the runtime reports them; new tokens include an end-of-sequence token.
        finish_reason: ``length`` if the answer ran to the length asked for, else ``eos``.
        started: Since the first request of its round.
        queue: Waiting before the runtime took it up.
        arrivals: From the call to each piece of text. One token is one piece, except where several make up a character.
        decode: From the first token to the end, as the runtime measures it.
        total: From the call to the end of the answer.
    """

    usage: Usage
    finish_reason: str
    started: float
    queue: float
    arrivals: tuple[float, ...]
    decode: float
    total: float

    @property
    def ttft(self) -> float:
        """From the call to the first text; to the end if the answer is empty."""
        return self.arrivals[0] if self.arrivals else self.total

    @property
    def gaps(self) -> tuple[float, ...]:
        """Between one piece of text and the next: the inter-token latency as the app sees it."""
        return tuple(later - earlier for earlier, later in pairwise(self.arrivals))

    @property
    def prefill_speed(self) -> float:
        """Prompt tokens that were run a second, until the first text. Tokenising and waiting count."""
        return (self.usage.prompt_tokens - self.usage.num_cached_tokens) / self.ttft

    @property
    def decode_speed(self) -> float | None:
        """New tokens a second, after the first one; ``None`` for an answer of one token."""
        later = self.usage.new_tokens - 1
        return later / self.decode if later > 0 and self.decode > 0 else None


@dataclass(frozen=True, slots=True)
class Round:
    """Requests that were asked at once.

    Attributes:
        requests: One or more.
        seconds: From the first call to the last answer's end.
    """

    requests: tuple[RequestSample, ...]
    seconds: float

    @property
    def throughput(self) -> float:
        """New tokens a second of all requests together, their prefill included in the time."""
        return sum(request.usage.new_tokens for request in self.requests) / self.seconds


def all_requests(rounds: Sequence[Round]) -> list[RequestSample]:
    """The requests of all rounds, in order."""
    return [request for each in rounds for request in each.requests]
