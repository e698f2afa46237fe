"""Runs feedback streams and kills them: a process that the kill test starts.

Reads lines ``FOLDER SEED DELAY WAIT RETRIED...`` and, for each, forks a child that opens the learner in FOLDER, repeats the
feedback for the ids RETRIED and goes on deciding and rewarding without end. The child is killed with SIGKILL, DELAY
seconds after it opened (WAIT = 1) or after it was forked (WAIT = 0). Prints, unbuffered, what ``feedback`` had returned by
then, as lines ``applied ID`` and ``duplicate ID``; then ``killed``.

Forking saves importing NumPy for every kill.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time

from edge_autoglm.learn.learner import Learner
from tests.learn.streams import decide


def stream(folder: str, seed: int, retried: list[str], opened: int) -> None:
    rng = random.Random(seed)
    learner = Learner.open(folder, seed=seed, segment_bytes=6000)
    os.write(opened, b"!")
    policy = learner.frozen()
    waiting = retried.copy()
    for step in range(10**9):
        decision_id = waiting.pop(rng.randrange(len(waiting))) if waiting and rng.random() < 0.5 else None
        if decision_id is None:
            waiting.append(decide(learner, policy, seed=seed + step))
            continue
        outcome = learner.feedback(decision_id, rng.random())
        os.write(1, f"{outcome.value} {decision_id}\n".encode())


def run_and_kill(folder: str, seed: int, delay: float, wait: bool, retried: list[str]) -> None:
    opened, signal_opened = os.pipe()
    child = os.fork()
    if not child:
        try:
            stream(folder, seed, retried, signal_opened)
        finally:
            os._exit(1)
    os.close(signal_opened)
    if wait:
        select.select([opened], [], [], 60)  # also ends when the child fails
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(opened)
    if not os.WIFSIGNALED(status):
        sys.exit("the stream ended by itself")


if __name__ == "__main__":
    for line in sys.stdin:
        folder, seed, delay, wait, *retried = line.split()
        run_and_kill(folder, int(seed), float(delay), wait == "1", retried)
        os.write(1, b"killed\n")
