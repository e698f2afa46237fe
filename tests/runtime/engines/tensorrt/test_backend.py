"""What the backend tells TensorRT and the CUDA runtime to do. Nothing is executed on a GPU (``tests/gpu`` does)."""

from __future__ import annotations

import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.standard.sizes import StepShape
from edge_autoglm.runtime.engines.tensorrt.step import TensorRTStep
from tests.runtime.engines.tensorrt.conftest import OpenBackend
from tests.runtime.engines.tensorrt.recorded_plan import Graph
from tests.runtime.engines.tensorrt.recording_tensorrt import Execution, Record

GRAPH = Graph()
DECOMPOSED = Graph(in_place=False)
DECODE, LONG_DECODE = StepShape(4, 1, 256, 4), StepShape(4, 1, 512, 4)
PREFILL = StepShape(1, 128, 256, 32)


def _row_bytes() -> int:
    return GRAPH.kv_heads * GRAPH.columns * GRAPH.head_dim * 2


def _write(step: TensorRTStep, token: int, column: int) -> None:
    """Inputs that can be told from others."""
    step.inputs.input_ids[:] = token
    step.inputs.position_ids[:] = column
    step.inputs.write_indices[:] = column
    step.inputs.attn_mask[:] = True
    step.inputs.logits_at[:] = np.arange(len(step.inputs.logits_at)) + token


def _cache(execution: Execution) -> list[int]:
    """Addresses in the order of a KV state."""
    return [execution.addresses[f"past_{place}"] for place in GRAPH.places()]


def test_inputs_have_the_shape_of_the_step_and_keep_their_place(open_backend: OpenBackend) -> None:
    kv = open_backend().kv(8)
    step = kv.bind(0, PREFILL)
    inputs, places = step.inputs, step.inputs.attn_mask.ctypes.data
    assert inputs.input_ids.shape == inputs.position_ids.shape == (1, 128)
    assert inputs.attn_mask.shape == (1, 1, 128, 256)
    assert (inputs.write_indices.shape, inputs.logits_at.shape) == ((1,), (32,))
    step.run(0)
    step.run(1)
    assert step.inputs.attn_mask.ctypes.data == places


def test_what_is_written_into_the_inputs_reaches_the_step(open_backend: OpenBackend, record: Record) -> None:
    step = open_backend().kv(4).bind(0, DECODE)
    for token in (5, 6, 7):  # the first is enqueued, the others are launched
        _write(step, token, column=token)
        logits = step.run(3)
        assert logits.shape == (3, GRAPH.vocab_size)
        assert logits[:, 0].tolist() == [token, token + 1, token + 2]
        ran = record.executions[-1]
        assert ran.inputs["input_ids"].tolist() == [[token]] * 4
        assert ran.inputs["attn_mask"].all()
    assert [ran.captured for ran in record.executions] == [False, True, True]


def test_logits_are_a_copy(open_backend: OpenBackend) -> None:
    step = open_backend().kv(4).bind(0, DECODE)
    _write(step, 5, 0)
    first = step.run(4)
    _write(step, 9, 0)
    step.run(4)
    assert first[:, 0].tolist() == [5, 6, 7, 8]


def test_only_the_wanted_logits_are_fetched(open_backend: OpenBackend, record: Record) -> None:
    step = open_backend().kv(4).bind(0, PREFILL)
    for wanted in (0, 1, 32):
        record.cudart.calls.clear()
        assert len(step.run(wanted)) == wanted
        fetched = [call.arguments[2] for call in record.cudart.named("cudaMemcpyAsync") if call.arguments[3] == 2]
        assert fetched == [wanted * GRAPH.vocab_size * 4][: bool(wanted)]


@pytest.mark.parametrize(("first_row", "shape"), [(0, DECODE), (4, DECODE), (0, PREFILL), (5, PREFILL)])
def test_the_cache_is_bound_in_place_at_the_rows_of_the_step(
    open_backend: OpenBackend, record: Record, first_row: int, shape: StepShape
) -> None:
    kv = open_backend().kv(8)
    kv.bind(first_row, shape).run(0)
    [ran] = record.executions
    start = kv._kv.address(0, 0)
    assert _cache(ran) == [start + (plane * 8 + first_row) * _row_bytes() for plane in range(2 * GRAPH.layers)]
    assert all(ran.addresses[f"present_{place}"] == ran.addresses[f"past_{place}"] for place in GRAPH.places())
    assert ran.shape == shape
    assert ran.shapes["past_key.0"] == (shape.rows, GRAPH.kv_heads, GRAPH.columns, GRAPH.head_dim)
    assert ran.profile == (1 if shape.tokens == 1 else 0)


def test_what_a_step_wrote_is_what_is_copied_out(open_backend: OpenBackend) -> None:
    kv = open_backend().kv(8)
    step = kv.bind(4, DECODE)
    step.inputs.input_ids[:, 0] = 11, 12, 13, 14
    step.inputs.write_indices[:] = 3, 4, 5, 6
    step.run(0)
    for row in range(8):
        [copy] = kv.copy_out(row, 0, 8)
        expected = np.zeros((2 * GRAPH.layers, GRAPH.kv_heads, 8, GRAPH.head_dim))
        if row >= 4:
            expected[:, :, row - 1] = 7 + row
        assert np.array_equal(np.asarray(copy), expected)
    kv.copy_in(0, 1, kv.copy_out(5, 4, 6), 1)
    [copy] = kv.copy_out(0, 0, 3)
    assert np.asarray(copy)[0, 0, :, 0].tolist() == [0, 12, 0]


def test_a_graph_is_captured_once_after_a_run_and_used_for_its_own_rows_only(
    open_backend: OpenBackend, record: Record
) -> None:
    kv = open_backend().kv(8)
    steps = [kv.bind(0, DECODE), kv.bind(4, DECODE), kv.bind(0, LONG_DECODE), kv.bind(3, PREFILL)]
    assert not record.enqueues, "binding runs nothing"
    for _ in range(3):
        for step in steps:
            step.run(1)
    assert len(record.cudart.graphs) == len(record.cudart.named("cudaGraphInstantiateWithFlags")) == 4
    assert record.enqueues == 2 * 4
    first, *launched = (record.executions[index : index + 4] for index in (0, 4, 8))
    assert not any(ran.captured for ran in first)
    for runs in launched:
        assert all(ran.captured for ran in runs)
        assert [_cache(ran) for ran in runs] == [_cache(ran) for ran in first]
        assert [ran.shape for ran in runs] == [ran.shape for ran in first]
    assert len({tuple(_cache(ran)) for ran in first}) == 3, "rows 0, 4 and 3"


def test_a_shape_has_one_context_and_all_share_scratch_and_logits(open_backend: OpenBackend, record: Record) -> None:
    backend = open_backend()
    first, second = backend.kv(8), backend.kv(4)
    for kv, row, shape in (
        (first, 0, DECODE),
        (first, 4, DECODE),
        (second, 0, DECODE),
        (first, 0, LONG_DECODE),
        (second, 2, PREFILL),
        (first, 2, PREFILL),
    ):
        kv.bind(row, shape).run(1)
    assert len(record.contexts) == 3
    assert len({ran.context for ran in record.executions}) == 3
    for name in ("scratch", "logits"):
        assert len({ran.addresses[name] for ran in record.executions}) == 1
    [scratch] = {ran.addresses["scratch"] for ran in record.executions}
    assert record.cudart.allocated[scratch] == GRAPH.scratch


def test_another_kv_state_of_the_backend_has_rows_and_graphs_of_its_own(
    open_backend: OpenBackend, record: Record
) -> None:
    backend = open_backend()
    kvs = backend.kv(4), backend.kv(4)
    steps = [kv.bind(0, DECODE) for kv in kvs]
    for _ in range(2):
        for token, step in enumerate(steps, 1):
            _write(step, token, 0)
            step.run(1)
    assert len(record.cudart.graphs) == 2
    for token, kv in enumerate(kvs, 1):
        [copy] = kv.copy_out(0, 0, 1)
        assert np.unique(np.asarray(copy)).tolist() == [token]


def test_the_order_of_calls(open_backend: OpenBackend, record: Record) -> None:
    step = open_backend().kv(4).bind(0, DECODE)
    record.cudart.calls.clear()
    step.run(2)
    copies = ["cudaMemcpyAsync"] * 5
    done = ["cudaMemcpyAsync", "cudaStreamSynchronize"]
    capture = ["cudaStreamBeginCapture", *copies, "cudaStreamEndCapture"]
    assert [call.name for call in record.cudart.calls] == [
        *copies,
        *done,
        *capture,
        "cudaGraphInstantiateWithFlags",
        "cudaGraphDestroy",
    ]
    streams = {call.arguments[-1] for call in record.cudart.named("cudaMemcpyAsync", "cudaStreamSynchronize")}
    assert len(streams) == 1, "one stream"
    record.cudart.calls.clear()
    step.run(2)
    assert [call.name for call in record.cudart.calls] == ["cudaGraphLaunch", *done]


def test_copies_have_another_stream_than_steps(open_backend: OpenBackend, record: Record) -> None:
    """One that a graph is being captured from would take a copy of another thread into the graph."""
    kv = open_backend().kv(4)
    kv.bind(0, DECODE).run(0)
    [_, capture] = [call.arguments for call in record.cudart.named("cudaStreamSynchronize")]
    kv.copy_out(0, 0, 3)
    [copy] = record.cudart.named("cudaMemcpy3DAsync")
    assert copy.arguments[-1] != capture[0]


def test_without_graphs_steps_are_enqueued_and_that_is_said_once(
    open_backend: OpenBackend, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    kv = open_backend().kv(8)
    steps = [kv.bind(0, DECODE), kv.bind(4, DECODE)]
    record.cudart.captures_fail = True
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        for token in (1, 2, 3):
            for row, step in enumerate(steps):
                _write(step, token + row, 0)
                assert step.run(1)[0, 0] == token + row
    assert [message for message in caplog.messages if "without CUDA graphs" in message] == caplog.messages
    assert len(caplog.messages) == 1
    assert "Restart" not in caplog.text, "that is the cure where nothing else works"
    assert len(record.cudart.named("cudaStreamBeginCapture")) == 1
    assert not any(ran.captured for ran in record.executions)
    assert [_cache(ran)[0] - _cache(record.executions[0])[0] for ran in record.executions] == [0, 4 * _row_bytes()] * 3


def test_a_step_that_tensorrt_refuses(open_backend: OpenBackend, record: Record) -> None:
    step = open_backend().kv(4).bind(0, DECODE)
    record.refuse.add("execute_async_v3")
    with pytest.raises(EngineError, match="a step fails: cannot execute") as caught:
        step.run(1)
    assert "model.plan" in caught.value.cause
    record.refuse.clear()
    assert len(step.run(1)) == 1


def test_an_address_that_tensorrt_refuses_is_an_error_and_no_step_at_the_one_before(
    open_backend: OpenBackend, record: Record
) -> None:
    kv = open_backend().kv(8)
    first, second = kv.bind(0, DECODE), kv.bind(4, DECODE)
    first.run(1)
    record.refuse.add("set_tensor_address")
    with pytest.raises(EngineError, match=r"past_key\.0 cannot lie at 0x[0-9a-f]+: past_key\.0 is not aligned"):
        second.run(1)
    assert len(record.executions) == 1


def test_a_capture_that_tensorrt_refuses_is_done_without(
    open_backend: OpenBackend, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    step = open_backend().kv(4).bind(0, DECODE)
    record.refuse.add("capture")
    with caplog.at_level(logging.WARNING, "edge_autoglm"):
        step.run(1)
    record.refuse.clear()
    assert "a step fails" in caplog.text
    assert not record.cudart.capturing
    assert not record.cudart.templates
    assert len(step.run(1)) == 1


def test_an_error_of_the_device_reaches_the_caller(open_backend: OpenBackend, record: Record) -> None:
    step = open_backend().kv(4).bind(0, DECODE)
    record.cudart.statuses["cudaStreamSynchronize"] = 700
    with pytest.raises(EngineError, match="status 700"):
        step.run(1)


@pytest.mark.parametrize("graph", [GRAPH, DECOMPOSED])
def test_closing_frees_everything(open_backend: OpenBackend, record: Record, graph: Graph) -> None:
    backend = open_backend(graph)
    weights_only = dict(record.cudart.allocated)
    kvs = backend.kv(8), backend.kv(4)
    for kv in kvs:
        for row, shape in ((0, DECODE), (0, LONG_DECODE), (3, PREFILL)):
            kv.bind(row, shape).run(1)
    assert len(record.cudart.graphs) == 6
    kvs[0].close()
    kvs[0].close()
    assert len(record.cudart.graphs) == 3
    kvs[1].close()
    assert not record.cudart.graphs
    assert len(record.cudart.pinned) == 1, "of the logits"
    assert weights_only.items() <= record.cudart.allocated.items()
    backend.close()
    backend.close()
    assert not record.cudart.allocated
    assert not record.cudart.pinned
    assert len(record.cudart.streams) == 1, "of copies: there may still be segments"
    record.executions.clear()
    record.contexts.clear()
    del backend, kvs, kv
    gc.collect()
    assert not record.cudart.streams


def test_steps_of_forks_do_not_mix_on_the_stream(open_backend: OpenBackend, record: Record) -> None:
    """The stream, the contexts and the memory for logits are shared; each thread has a KV state of its own."""
    backend = open_backend()
    steps = [backend.kv(4).bind(0, DECODE) for _ in range(4)]

    def use(number: int) -> bool:
        step, right = steps[number], True
        for turn in range(20):
            _write(step, 100 * number + turn, 0)
            right &= step.run(4)[:, 0].tolist() == [100 * number + turn + row for row in range(4)]
        return right

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(4)))
    assert record.cudart.set_on > {threading.get_ident()}


def test_contexts_are_made_on_the_device_whichever_thread_asks(open_backend: OpenBackend, record: Record) -> None:
    contexts = open_backend()._contexts
    with ThreadPoolExecutor(1) as pool:
        pool.submit(contexts.of, DECODE).result()
    assert len(record.contexts) == 1


@pytest.mark.parametrize("graph", [GRAPH, DECOMPOSED])
def test_the_engine_over_it(open_backend: OpenBackend, record: Record, graph: Graph) -> None:
    """Prefill in pages, decode in blocks, KV that moves between slots; the logits are what the double writes."""
    engine = StandardEngine(open_backend(graph), fingerprint="a", slots=6, capacity=400)
    text = list(range(1, 151))
    [logits] = engine.forward([Chunk(5, text, [0, 127, 128, 149])])
    assert logits[:, 0].tolist() == [0, 127, 0, 21]
    assert [(ran.profile, ran.shape.live) for ran in record.executions] == [(0, 256), (0, 256)]
    segment = engine.copy_out(5, 0, 150)
    kv = np.asarray(segment.arrays[0])
    assert (kv == np.arange(1, 151)[:, None]).all()
    engine.copy_in(2, [segment])
    engine.forward([Chunk(2, [7]), Chunk(5, [8])])
    assert [(ran.profile, ran.shape.rows) for ran in record.executions[2:]] == [(1, 4), (1, 4)]
    for slot, last in ((2, 7), (5, 8)):
        kv = np.asarray(engine.copy_out(slot, 0, 151).arrays[0])
        assert (kv == np.append(np.arange(1, 151), last)[:, None]).all()
    engine.close()
    assert not record.cudart.graphs


def test_kv_that_does_not_fit(open_backend: OpenBackend, record: Record) -> None:
    backend = open_backend()
    before = dict(record.cudart.allocated)
    with pytest.raises(MemoryBudgetExceeded, match="MB"):
        backend.kv(100_000)
    assert record.cudart.allocated == before
