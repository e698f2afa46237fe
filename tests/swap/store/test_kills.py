"""SIGKILL at random points of swaps: the next start finds the old or the new generation, whole."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.swap.store.killing import KillHost, checked
from tests.swap.store.parts import a_bundle


@pytest.fixture
def host() -> Iterator[KillHost]:
    running = KillHost("tests.swap.store.kill_host")
    yield running
    running.close()


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=[pytest.mark.heavy, pytest.mark.timeout(3600)])])
def test_a_killed_swap_leaves_the_old_or_the_new_generation_whole(host: KillHost, tmp_path: Path, kills: int) -> None:
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    for prompts in range(3):
        a_bundle(bundles, prompts=prompts)
    a_bundle(bundles, weights=os.urandom(300_000))
    rng = random.Random(0)
    folder, active, in_doubt = tmp_path / "generations", 0, 0
    for _ in range(kills):
        allowed = host.run_and_kill(folder, bundles, rng.randrange(10**6), rng.uniform(0, 0.03), rng.randrange(8))
        allowed = allowed or {active}
        in_doubt += len(allowed) > 1
        active = checked(folder)
        assert active in allowed
    # The kills hit moves of the pointer; how often depends on the machine, and 20 of them may be all unlucky.
    assert kills < 200 or in_doubt > kills // 20
