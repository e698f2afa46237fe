"""The process of ``test_kills.py``: each step is one call of the ledger; see ``killing.py``."""

from __future__ import annotations

import random
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.swap.store.store import GenerationStore
from tests.swap.store.killing import KEEP, Steps, say, serve
from tests.swap.store.parts import keep


def swap_without_end(folder: Path, bundles: Path, rng: random.Random, step: Steps) -> None:
    """Propose, activate, give up."""
    found = [Bundle.open(path) for path in sorted(bundles.glob("*.bundle"))]
    store = GenerationStore(folder, keep=KEEP)
    active = store.active()
    now = 0 if active is None else active.number
    step()
    while True:
        new = keep(store, rng.choice(found), rewards=rng.randrange(3)).number
        step()
        if rng.random() < 0.25:
            store.give_up(new, "loops", instead=now)
        else:
            say("may", now, new)
            store.activate(new, {"mean_kl": rng.random()})
            now = new
            say("is", now)
        step()
        before = store.previous_good()
        if before is not None and rng.random() < 0.25:
            say("may", now, before.number)
            store.give_up(now, "errors", instead=before.number)
            now = before.number
            say("is", now)
            step()


if __name__ == "__main__":
    serve(swap_without_end)
