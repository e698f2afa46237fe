"""Kills a process that swaps generations: what the campaigns over the store and over the whole runtime share.

The host, a process of its own, reads lines ``FOLDER BUNDLES SEED DELAY AFTER`` and, for each, forks a child that swaps
without end. The child is killed with SIGKILL, DELAY seconds after its AFTER-th step (its opening is one, so that 0 may
kill it while it opens). It prints, at once, what a restart may come up on: ``may A B`` before each step that moves the
pointer from A to B, ``is B`` after it; 0 stands for nothing. Then the host prints ``killed``.

Forking saves importing NumPy for every kill.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge_autoglm.swap.store.record import Standing
from edge_autoglm.swap.store.store import GenerationStore

KEEP = 3
ROOT = Path(__file__).parents[3]


class Steps:
    """Tells the host of a step."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def __call__(self) -> None:
        os.write(self._pipe, b"!")


Swaps = Callable[[Path, Path, random.Random, Steps], None]
"""What the child does, given FOLDER, BUNDLES, its random numbers, and what to call after each step."""


def say(*words: object) -> None:
    """At once: the process may be dead the next moment."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def serve(swap_without_end: Swaps) -> None:
    """The host."""
    for line in sys.stdin:
        folder, bundles, seed, delay, after = line.split()
        steps, child_steps = os.pipe()
        child = os.fork()
        if not child:
            try:
                swap_without_end(Path(folder), Path(bundles), random.Random(int(seed)), Steps(child_steps))
            finally:
                os._exit(1)
        os.close(child_steps)
        for _ in range(int(after)):
            os.read(steps, 1)  # returns at once when the child has failed
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(steps)
        if not os.WIFSIGNALED(status):
            sys.exit("the child ended by itself")
        say("killed")


class KillHost:
    """The host, seen from the test.

    Args:
        module: Whose ``__main__`` calls ``serve``.
    """

    def __init__(self, module: str) -> None:
        # Threads of a BLAS would not survive the fork.
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def run_and_kill(self, folder: Path, bundles: Path, seed: int, delay: float, after: int) -> set[int] | None:
        """Numbers that a restart may come up on; ``None`` where the child died before it said any."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder} {bundles} {seed} {delay} {after}\n")
        self._process.stdin.flush()
        allowed = None
        for line in self._process.stdout:
            if line == "killed\n":
                return allowed
            allowed = {int(number) for number in line.split()[1:]}
        raise AssertionError("the host ended")

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)


def checked(folder: Path) -> int:
    """What a restart comes up on; all that is kept is whole."""
    store = GenerationStore(folder, keep=KEEP)
    assert not list(folder.glob(".*"))
    for record in store.records():
        assert record.standing is not Standing.PROPOSED
        bundle, policy = store.open(record.number)
        assert bundle.digest == record.bundle_digest
        assert policy is not None
    active = store.active()
    assert active is None or active.good
    assert len(store.records()) <= KEEP + 1  # a kill may come before the oldest is deleted
    return 0 if active is None else active.number
