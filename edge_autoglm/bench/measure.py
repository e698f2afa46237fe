"""Asks requests and takes their times, on the caller's side of the public API."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from edge_autoglm import Runtime, SamplingParams
from edge_autoglm.bench.samples import RequestSample, Round

_START_SECONDS = 30.0
"""For the threads of a round to start; if one cannot, the others must not wait for it for ever."""


def measure_round(runtime: Runtime, prompts: Sequence[str], new_tokens: int) -> Round:
    """Ask all prompts at once, each from a thread of its own, and read the answers to their ends.

    Args:
        runtime: Open, with a slot for each of them.
        prompts: At least one.
        new_tokens: Length of each answer.
    """
    params = SamplingParams(max_new_tokens=new_tokens, min_new_tokens=new_tokens)
    if len(prompts) == 1:
        return _round([_measure(runtime, prompts[0], params)])
    together = threading.Barrier(len(prompts), timeout=_START_SECONDS)

    def ask(prompt: str) -> RequestSample:
        together.wait()
        return _measure(runtime, prompt, params)

    with ThreadPoolExecutor(len(prompts), thread_name_prefix="bench") as pool:
        return _round(list(pool.map(ask, prompts)))


def _measure(runtime: Runtime, prompt: str, params: SamplingParams) -> RequestSample:
    """One request; `RequestSample.started` is on the clock of the process."""
    started = time.perf_counter()
    stream = runtime.generate_stream(prompt, params)
    arrivals = [time.perf_counter() - started for _ in stream]
    total = time.perf_counter() - started
    completion = stream.completion
    timings = completion.timings
    return RequestSample(
        usage=completion.usage,
        finish_reason=completion.finish_reason,
        started=started,
        queue=timings.queue,
        arrivals=tuple(arrivals),
        decode=timings.total - timings.ttft,
        total=total,
    )


def _round(requests: Sequence[RequestSample]) -> Round:
    first = min(request.started for request in requests)
    shifted = tuple(replace(request, started=request.started - first) for request in requests)
    return Round(shifted, seconds=max(request.started + request.total for request in shifted))
