"""What a plan gives that does not update its cache: where it lies, and that it gets to its rows. See the doubles."""

from __future__ import annotations

import numpy as np
import pytest

from edge_autoglm.runtime.engines.standard.sizes import StepShape
from tests.runtime.engines.tensorrt.conftest import OpenBackend
from tests.runtime.engines.tensorrt.recorded_plan import Graph
from tests.runtime.engines.tensorrt.recording_tensorrt import OLD_VERSION, Record

DECOMPOSED = Graph(in_place=False)
DECODE = StepShape(4, 1, 256, 4)


@pytest.mark.parametrize(
    "graph", [Graph(in_place=False, kv_heads=1, head_dim=8), Graph(in_place=False, head_dim=80, rows=1)]
)
def test_what_a_plan_gives_begins_where_tensorrt_wants_a_tensor_to(
    open_backend: OpenBackend, record: Record, graph: Graph
) -> None:
    """The double refuses addresses that do not; a decode step of these gives 64 and 320 bytes a layer."""
    kv = open_backend(graph).kv(4)
    step = kv.bind(0, StepShape(graph.rows, 1, 256, graph.rows))
    step.inputs.input_ids[:, 0] = np.arange(1, graph.rows + 1)
    step.run(1)
    for row in range(graph.rows):
        assert (np.asarray(kv.copy_out(row, 0, 1)[0]) == row + 1).all()


@pytest.mark.parametrize("captures_fail", [False, True])
def test_what_a_plan_gives_is_put_into_the_rows_of_the_step(
    open_backend: OpenBackend, record: Record, captures_fail: bool
) -> None:
    """Where it is launched as a graph, too; and into other columns each time."""
    record.cudart.captures_fail = captures_fail
    kv = open_backend(DECOMPOSED, "tensorrt", OLD_VERSION).kv(8)
    step = kv.bind(4, DECODE)
    for turn in range(3):
        step.inputs.input_ids[:, 0] = np.arange(1, 5) + 10 * turn
        step.inputs.write_indices[:] = turn, 5 + turn, 20 - turn, 511
        step.run(turn % 2)
    expected = np.zeros((8, 512))
    expected[4, :3], expected[5, 5:8], expected[6, 18:21], expected[7, 511] = (1, 11, 21), (2, 12, 22), (23, 13, 3), 24
    for row in range(8):
        found = np.asarray(kv.copy_out(row, 0, 512)[0])
        assert (found == expected[row][:, None]).all()
    assert [ran.captured for ran in record.executions] == [False, not captures_fail, not captures_fail]
    for ran in record.executions:
        assert not {ran.addresses[f"past_{place}"] for place in DECOMPOSED.places()} & {
            ran.addresses[f"new_{place}"] for place in DECOMPOSED.places()
        }


def test_what_is_put_is_put_before_the_step_is_done(open_backend: OpenBackend, record: Record) -> None:
    """On the stream of steps and not in their graph: copies on another stream may read it right after."""
    step = open_backend(DECOMPOSED).kv(4).bind(0, DECODE)
    step.run(0)
    record.cudart.calls.clear()
    step.run(1)
    assert [call.name for call in record.cudart.calls] == [
        "cudaGraphLaunch",
        *["cudaMemcpy3DAsync"] * 4,
        "cudaMemcpyAsync",
        "cudaStreamSynchronize",
    ]
    assert len({call.arguments[-1] for call in record.cudart.calls}) == 1
