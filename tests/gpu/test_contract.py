"""The contract of engines, on a GPU: the very tests of ``tests/contract``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from tests.contract.test_engine_contract import *  # noqa: F403 - tests, collected from here once more
from tests.gpu.engines_on_gpu import KINDS, build_here, open_on_cuda, open_on_tensorrt, write_graph

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Of a kind, written once."""
    return cache(lambda kind: write_graph(tmp_path_factory.mktemp(kind), kind))


@pytest.fixture(scope="session")
def plan(graph: Callable[[str], Path]) -> Callable[[str], tuple[Path, PlanEntry]]:
    """Of a kind, built once."""
    return cache(lambda kind: build_here(graph(kind)))


@pytest.fixture(params=KINDS)
def engine_factory(
    request: pytest.FixtureRequest,
    graph: Callable[[str], Path],
    plan: Callable[[str], tuple[Path, PlanEntry]],
) -> Iterator[Callable[..., StandardEngine]]:
    """Engines of one kind; closes what it made."""
    where, _, kind = request.param.partition("-")
    made: list[StandardEngine] = []

    def make(slots: int = 4, capacity: int = 64) -> StandardEngine:
        opened = (
            open_on_tensorrt(plan(kind), slots, capacity)
            if where == "tensorrt"
            else open_on_cuda(graph(kind), slots, capacity)
        )
        made.append(opened)
        return opened

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def decode_rounding(request: pytest.FixtureRequest) -> float:
    """How much of the largest logit a sum in another order may change, in float16."""
    return 3e-2 if "w8a8" in request.node.callspec.params["engine_factory"] else 1e-2
