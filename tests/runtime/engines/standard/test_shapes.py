"""Which steps an engine runs: a token's shape follows from its position alone.

ONNX Runtime's CPU gives the same bits over another live length; a GPU's kernels need not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.standard.backend import BoundStep, StandardKV, StepInputs
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend
from edge_autoglm.runtime.engines.standard.ort_cpu import CpuPlace
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from tests.runtime.engines.standard.engines_for_tests import CAPACITY, COLUMNS, OTHER, SIZES, TEXT


class Run(NamedTuple):
    """One run of a step."""

    first_row: int
    shape: StepShape
    wanted: int


class WatchedKV:
    """A KV state whose steps note their runs."""

    def __init__(self, kv: StandardKV, runs: list[Run], bound: list[tuple[int, StepShape]]) -> None:
        self._kv = kv
        self._runs = runs
        self._bound = bound
        self.copy_out, self.copy_in, self.close = kv.copy_out, kv.copy_in, kv.close

    def bind(self, first_row: int, shape: StepShape) -> BoundStep:
        self._bound.append((first_row, shape))
        return WatchedStep(self._kv.bind(first_row, shape), lambda wanted: Run(first_row, shape, wanted), self._runs)


class WatchedStep:
    """Notes its runs."""

    def __init__(self, step: BoundStep, noted: Callable[[int], Run], runs: list[Run]) -> None:
        self._step = step
        self._noted = noted
        self._runs = runs

    @property
    def inputs(self) -> StepInputs:
        return self._step.inputs

    def run(self, wanted: int) -> Logits:
        self._runs.append(self._noted(wanted))
        return self._step.run(wanted)


class Watched:
    """An engine of four slots in two blocks, what it has run since it was last asked, and all that it bound."""

    def __init__(self, graph: Path) -> None:
        self._runs: list[Run] = []
        self.bound: list[tuple[int, StepShape]] = []
        self.engine = StandardEngine(_Backend(graph, self._runs, self.bound), fingerprint="f", slots=4, capacity=200)

    def runs(self, *chunks: Chunk) -> list[Run]:
        """What the chunks take."""
        self._runs.clear()
        self.engine.forward(chunks)
        return list(self._runs)


class _Backend(OrtBackend):
    def __init__(self, graph: Path, runs: list[Run], bound: list[tuple[int, StepShape]]) -> None:
        super().__init__(CpuPlace(graph, 1), SIZES)
        self._noted = runs, bound

    def kv(self, slots: int) -> WatchedKV:
        return WatchedKV(super().kv(slots), *self._noted)


@pytest.fixture
def watched(tiny_graph: Callable[[str], Path]) -> Watched:
    return Watched(tiny_graph("fp16"))


def page(slot: int, live: int, wanted: int = 0) -> Run:
    return Run(slot, StepShape(1, SIZES.page, live, SIZES.head_rows), wanted)


def decode(first_row: int, live: int, wanted: int) -> Run:
    return Run(first_row, StepShape(SIZES.rows, 1, live, SIZES.rows), wanted)


def test_a_prompt_takes_a_run_for_each_page(watched: Watched) -> None:
    assert watched.runs(Chunk(3, TEXT[:50])) == [page(3, 32), page(3, 32), page(3, 64), page(3, 64, 1)]
    assert watched.runs(Chunk(3, TEXT[50:52])) == [page(3, 64, 1)]
    assert watched.runs(Chunk(3, TEXT[52:CAPACITY], ())) == [
        *(page(3, live) for live in (64, 128, 128, 128, 128, COLUMNS)),
    ]


def test_wanted_positions_beyond_those_of_a_step_take_further_runs_of_their_page(watched: Watched) -> None:
    wanted = [*range(9), 20]
    assert watched.runs(Chunk(0, TEXT[:40], wanted)) == [page(0, 32, 8), page(0, 32, 1), page(0, 32, 1), page(0, 64)]


def test_rows_of_a_block_decode_together_where_their_live_lengths_agree(watched: Watched) -> None:
    for slot, length in enumerate((20, 25, 31, 40)):
        watched.runs(Chunk(slot, OTHER[:length]))
    assert watched.runs(*(Chunk(slot, [7]) for slot in range(4))) == [
        decode(0, 32, 2),
        decode(2, 32, 1),
        decode(2, 64, 2),
    ]
    assert watched.runs(Chunk(1, [7]), Chunk(2, [7])) == [decode(0, 32, 2), decode(2, 64, 1)]


@pytest.mark.parametrize("length", [2, 30, 31, 32, 63, 127, CAPACITY - 1])
def test_the_shape_of_a_decode_step_follows_from_the_rows_own_length(watched: Watched, length: int) -> None:
    watched.runs(Chunk(0, TEXT[:length]))
    alone = watched.runs(Chunk(0, [7], ()))
    for neighbour in (2, 31, 90, CAPACITY - 1):
        watched.engine.truncate(0, length)
        watched.engine.truncate(1, 0)
        watched.runs(Chunk(1, OTHER[:neighbour]))
        beside = watched.runs(Chunk(0, [7]), Chunk(1, [7]))
        assert alone[0].shape in [run.shape for run in beside]
        assert len(beside) == 1 + (SIZES.live_length(neighbour + 1, COLUMNS) != alone[0].shape.live)


def test_a_step_is_bound_once(watched: Watched) -> None:
    for _ in range(3):
        watched.engine.truncate(0, 0)
        watched.runs(Chunk(0, TEXT[:40]))
        watched.runs(Chunk(0, [7]), Chunk(1, [7]))
    assert len(watched.bound) == len(set(watched.bound)) == 4
