"""Runs feedback streams and kills them: a process that the kill test starts.

Reads lines ``FOLDER SEED DELAY AFTER RETRIED...`` and, for each, forks a child that opens the learner in FOLDER,
repeats the feedback for the ids RETRIED and goes on deciding and rewarding without end. The child is killed with
SIGKILL, DELAY seconds after its AFTER-th step (its opening counts as one, so 0 may kill it while it opens). Prints,
unbuffered, what ``feedback`` had returned by then, as lines ``applied ID`` and ``duplicate ID``; then ``killed``.

Forking saves importing NumPy for every kill.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

from edge_autoglm.learn.learner import Learner, Limits
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from tests.learn.streams import decide

LIMITS = Limits(segment_bytes=4000, snapshot_bytes=1, journal_bytes=50_000)
"""Every few steps a new segment or a snapshot, and old segments go: but none that the same run began."""


def policy() -> VariantPolicy:
    """Its snapshots are small, so there are many."""
    return make_policy("ridge", seed=1, lambdas=(3.0,))


def stream(folder: str, seed: int, retried: list[str], steps: int) -> None:
    rng = random.Random(seed)
    learner = Learner.open(folder, seed=seed, policy=policy(), limits=LIMITS)
    os.write(steps, b"!")
    frozen = learner.frozen()
    waiting = retried.copy()
    for step in range(10**9):
        decision_id = waiting.pop(rng.randrange(len(waiting))) if waiting and rng.random() < 0.5 else None
        if decision_id is None:
            waiting.append(decide(learner, frozen, seed=seed + step))
            continue
        outcome = learner.feedback(decision_id, rng.random())
        os.write(1, f"{outcome.value} {decision_id}\n".encode())
        os.write(steps, b"!")


def run_and_kill(folder: str, seed: int, delay: float, after: int, retried: list[str]) -> None:
    steps, child_steps = os.pipe()
    child = os.fork()
    if not child:
        try:
            stream(folder, seed, retried, child_steps)
        finally:
            os._exit(1)
    os.close(child_steps)
    for _ in range(after):
        os.read(steps, 1)  # returns at once when the child has failed
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(steps)
    if not os.WIFSIGNALED(status):
        sys.exit("the stream ended by itself")


if __name__ == "__main__":
    for line in sys.stdin:
        folder, seed, delay, after, *retried = line.split()
        run_and_kill(folder, int(seed), float(delay), int(after), retried)
        os.write(1, b"killed\n")
