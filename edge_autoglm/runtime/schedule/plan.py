"""Which jobs take part in the next step, and with how many tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_autoglm.runtime.schedule.running import MIN_CHUNK, Running
from edge_autoglm.values import Priority

SHORT = 17
"""Tokens up to which an ask counts as decoding: a new token, and 16 drafts to verify."""

BESIDE = 64
"""Tokens of prompts that run in one step beside jobs that decode, so that their streams do not stall; and of prompts in
the background, such as those of a standby generation: a request that comes meanwhile waits for the step. On two AVX2
cores, chunks of 64 run at 0.92 of the speed of chunks of 256."""


SIP = 8
"""Of prompts in the background while requests run on another engine, such as the active generation's: less than a
decode step of eight streams, which each of them then waits for. At steps of 22 ms, 16 tokens added 42 ms to the 99th
percentile, 8 tokens 30."""


def plan_step(running: Iterable[Running], prefill_chunk: int, contended: bool = False) -> list[tuple[Running, int]]:
    """Choose the jobs of one step, each with the most tokens that it may run.

    Only the highest class that has something to do takes part. All its decoding jobs do; what prompts may run in the
    same step goes to the oldest first.

    Args:
        running: All jobs that have a slot.
        prefill_chunk: Tokens of a prompt that is alone.
        contended: Whether requests on another engine wait for this step.
    """
    jobs = sorted(running, key=lambda job: job.rank)
    served = [job for job in jobs if job.job.priority == jobs[0].job.priority]
    decoding = [job for job in served if job.left <= SHORT]
    filling = [job for job in served if job.left > SHORT]
    return [
        *((job, job.left) for job in decoding),
        *_share(filling, _budget(served, decoding, prefill_chunk, contended)),
    ]


def _budget(served: Sequence[Running], decoding: Sequence[Running], prefill_chunk: int, contended: bool) -> int:
    """Tokens of prompts in one step: fewer where others wait for it, fewest where streams do, or all is unhurried."""
    longest = prefill_chunk if len(served) == 1 or decoding else max(prefill_chunk // 2, MIN_CHUNK)
    if served[0].job.priority == Priority.BACKGROUND:
        return min(SIP if contended else BESIDE, longest)
    return min(BESIDE, longest) if decoding else longest


def _share(filling: Sequence[Running], budget: int) -> list[tuple[Running, int]]:
    """Every chunk is a run over all weights: none is begun for a few tokens, and none is left for a few."""
    shares: list[tuple[Running, int]] = []
    for job in filling:
        if shares and budget < SHORT:
            break
        shares.append((job, job.left if job.left - budget < budget // 8 else budget))
        budget -= job.left
    return shares
