"""What a reader must know before quoting the figures of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.bench.host import Host
from edge_autoglm.bench.samples import RequestSample

_BUSY = 0.5
"""Load average of a machine that was not idle in the minute before."""


def notes(config: BenchConfig, host: Host, requests: Sequence[RequestSample]) -> tuple[str, ...]:
    """Sentences on everything that was not as asked for, or that makes figures hard to compare.

    Args:
        config: What was asked for.
        host: Where.
        requests: What was measured.
    """
    found = [*_lengths(config, requests), *_cached(requests), *_accepted(requests), *_pieces(requests)]
    load = host.load_average
    if load is not None and load > _BUSY:
        found.append(f"The machine was busy: its load average was {load:.1f} before the benchmark began.")
    return tuple(found)


def _lengths(config: BenchConfig, requests: Sequence[RequestSample]) -> Iterator[str]:
    prompts = {request.usage.prompt_tokens for request in requests}
    if prompts != {config.prompt_tokens}:
        yield f"Prompts had {min(prompts)} to {max(prompts)} tokens, not {config.prompt_tokens}."
    early = [count for request in requests if (count := request.usage.new_tokens) < config.new_tokens]
    if early:
        yield (
            f"The model ended {len(early)} of {len(requests)} answers before {config.new_tokens} tokens, the shortest "
            f"after {min(early)}; speeds are of the tokens that came."
        )


def _cached(requests: Sequence[RequestSample]) -> Iterator[str]:
    cached = sum(request.usage.num_cached_tokens for request in requests)
    if cached:
        share = cached / sum(request.usage.prompt_tokens for request in requests)
        yield f"{share:.1%} of the prompt tokens came from a cache; prefill speed is of the others."


def _accepted(requests: Sequence[RequestSample]) -> Iterator[str]:
    accepted = sum(request.usage.accepted_tokens for request in requests)
    if accepted:
        share = accepted / sum(request.usage.new_tokens for request in requests)
        yield (
            f"{share:.1%} of the new tokens were looked up in the text so far and came several in a step: inter-token "
            "latency and decode speed are those of answers that repeat themselves."
        )


def _pieces(requests: Sequence[RequestSample]) -> Iterator[str]:
    tokens = sum(request.usage.new_tokens for request in requests)
    pieces = sum(len(request.arrivals) for request in requests)
    if pieces < tokens:
        yield (
            f"{tokens} tokens came as {pieces} pieces of text (some have no text, or are a part of a character): "
            "inter-token latency is between pieces."
        )
