"""SIGKILL at random points of a runtime's swaps: the next start serves the old or the new generation, whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime
from edge_autoglm.swap.store.layout import GENERATIONS
from tests.facade.kill_host import CONFIG
from tests.swap.store.killing import KillHost, checked


@pytest.fixture
def host() -> Iterator[KillHost]:
    running = KillHost("tests.facade.kill_host")
    yield running
    running.close()


@pytest.fixture
def bundles(bundle: Bundle, task_files: list[Path], tmp_path: Path) -> Path:
    """Prompt sets over one model."""
    for number in range(3):
        changed = tmp_path / str(number) / "mood.yaml"
        changed.parent.mkdir()
        mood = next(file for file in task_files if file.name == "mood.yaml")
        changed.write_text(mood.read_text().replace("framed", f"framed{number}"))
        bundle.derive(tmp_path / "bundles" / f"{number}.bundle", [changed])
    return tmp_path / "bundles"


@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=[pytest.mark.heavy, pytest.mark.timeout(3600)])])
def test_the_next_start_serves_the_old_or_the_new_generation(
    host: KillHost, bundles: Path, tmp_path: Path, kills: int
) -> None:
    rng = random.Random(0)
    state, active, in_doubt = tmp_path / "state", 0, 0
    for _ in range(kills):
        said = host.run_and_kill(state, bundles, rng.randrange(10**6), rng.uniform(0, 0.3), rng.randrange(4))
        allowed = said or {active, 1}  # the first start may have been written down
        in_doubt += len(allowed) > 1
        active = checked(state / GENERATIONS)
        assert active in allowed
        with Runtime.open(bundles / "0.bundle", state, threads=1, config=CONFIG) as runtime:
            assert runtime.generation == active or active == 0
            active = runtime.generation
            assert runtime.run("mood", {"text": "x"}).generation == active
    assert in_doubt > kills // 10  # the kills hit swaps
