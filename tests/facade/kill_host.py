"""The process of ``test_restart_kills.py``: a runtime that swaps, promotes and rolls back; see ``killing.py``."""

from __future__ import annotations

import random
from pathlib import Path

from edge_autoglm import Runtime, RuntimeConfig, SwapOutcome, Swapped
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.policy import SwapPolicy
from tests.swap.store.killing import KEEP, Steps, say, serve

CONFIG = RuntimeConfig(
    seed=1,
    slots=1,
    context_length=256,
    promote_every=None,
    keep_generations=KEEP,
    swap_policy=SwapPolicy(HealthPolicy(max_kl=None, max_latency_ratio=None)),
)


def swap_without_end(state: Path, bundles: Path, rng: random.Random, step: Steps) -> None:
    """Requests, feedback and swaps through the public API."""
    found = sorted(bundles.glob("*.bundle"))
    with Runtime.open(found[0], state, threads=1, config=CONFIG) as runtime:
        now = runtime.generation
        before = last = now
        say("is", now)
        step()
        while True:
            for number in range(3):
                runtime.feedback(runtime.run("mood", {"text": f"x {number}"}).id, rng.random())
            last = max(last, runtime._buffer._last_number) + 1
            say("may", now, last)
            outcome: SwapOutcome = runtime.learner.promote() if rng.random() < 0.5 else runtime.swap(rng.choice(found))
            if isinstance(outcome, Swapped):
                before, now = now, outcome.generation
            say("is", now)
            step()
            if before != now and rng.random() < 0.3:
                say("may", now, before)
                runtime.learner.rollback()
                now = before
                say("is", now)
                step()


if __name__ == "__main__":
    serve(swap_without_end)
