"""From the call to the free slot: requests run by themselves, and end early where cancelled, late or broken."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
from collections.abc import Sequence

import pytest

from edge_autoglm.errors import DeadlineExceeded, EdgeAutoGLMError, EngineError, Overloaded, RequestError
from edge_autoglm.runtime.engine import Chunk, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.runtime.urgency import Urgency
from edge_autoglm.values import Priority, SamplingParams
from tests.checkpoints import VOCAB_SIZE
from tests.waiting import WAIT, GatedEngine, wait_past, wait_until

EOS = 2
PROMPT = [5, 80, 17, 200, 9]
LONG = SamplingParams(max_new_tokens=400)
SHORT = SamplingParams(max_new_tokens=6)


def new_model(engine: ScriptedEngine, tokenizer: Tokenizer, **limits: float) -> LanguageModel:
    return LanguageModel(engine, tokenizer, None, [EOS], None, limits=ModelLimits(**limits))  # type: ignore[arg-type]


def alone(tokenizer: Tokenizer, tokens: Sequence[int], params: SamplingParams = SHORT) -> str:
    """What a request is answered by a model that does nothing else."""
    return new_model(ScriptedEngine(VOCAB_SIZE), tokenizer).stream(tokens, params).read()


def idle(model: LanguageModel) -> bool:
    return (model.scheduler.busy, model.scheduler.waiting) == (0, 0)


def test_a_request_begins_at_once_and_ends_without_a_reader(byte_level: Tokenizer) -> None:
    model = new_model(ScriptedEngine(VOCAB_SIZE), byte_level)
    stream = model.stream(PROMPT, SHORT)
    wait_until(lambda: stream.finish_reason is not None and idle(model))
    assert stream.text == ""
    assert stream.read() == alone(byte_level, PROMPT)


def test_an_early_close_frees_the_slot_at_the_end_of_the_step(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE)
    model = new_model(engine, byte_level)
    with model.stream(PROMPT, LONG) as stream:
        engine.let(3)
        engine.wait_for_pass(4)
        assert model.scheduler.busy == 1
    stream.close()
    engine.let(1)
    wait_until(lambda: idle(model))
    assert stream.finish_reason is None
    assert len(engine.passes) == 4
    assert list(stream) == [], "pieces that nobody read are dropped"
    engine.open_gate()
    assert model.stream(PROMPT, SHORT).read() == alone(byte_level, PROMPT)


def test_a_dropped_stream_is_cancelled_without_the_garbage_collector(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE)
    model = new_model(engine, byte_level)
    stream = model.stream(PROMPT, LONG)
    engine.wait_for_pass(1)
    gc.disable()
    try:
        del stream
        engine.let(1)
        wait_until(lambda: idle(model))
    finally:
        gc.enable()
    assert len(engine.passes) == 1


def test_a_cancelled_request_that_waits_never_runs(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=1)
    model = new_model(engine, byte_level)
    first = model.stream(PROMPT, SHORT)
    engine.wait_for_pass(1)
    second, scores = model.stream([100, 101], SHORT), model.submit_score([100, 102], [[3]])
    assert model.scheduler.waiting == 2
    second.close()
    assert scores.cancel()
    engine.open_gate()
    assert first.read() == alone(byte_level, PROMPT)
    wait_until(lambda: idle(model))
    assert all(100 not in chunk.tokens for chunks in engine.passes for chunk in chunks)
    assert second.read() == ""


def test_cancelling_the_future_of_scores_frees_the_slot(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE)
    model = new_model(engine, byte_level)
    scores = model.submit_score(PROMPT, [[3, 4], [5, 6], [7, 8]])
    engine.wait_for_pass(1)
    assert scores.cancel()
    engine.let(1)
    wait_until(lambda: idle(model))
    assert len(engine.passes) == 1


class FailingEngine(ScriptedEngine):
    """Breaks at the n-th forward call."""

    calls_left = 0
    error: Exception = EngineError("the device is gone", "Plug it in.")

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise self.error
        return super().forward(chunks)


@pytest.mark.parametrize("error", [FailingEngine.error, MemoryError("the device is full")])
@pytest.mark.parametrize("calls", [0, 1, 3])
def test_an_error_on_the_way_frees_the_slot(byte_level: Tokenizer, calls: int, error: Exception) -> None:
    engine = FailingEngine(VOCAB_SIZE, slots=1)
    engine.calls_left, engine.error = calls, error
    model = new_model(engine, byte_level)
    stream = model.stream([7] * 20, LONG)
    with pytest.raises(type(error), match="device"):
        stream.read()
    assert list(stream) == [], "the error is raised once"
    assert stream.usage.new_tokens == calls
    wait_until(lambda: idle(model))
    engine.calls_left = 1000
    assert model.stream(PROMPT, SHORT).read() == alone(byte_level, PROMPT)


class PickyEngine(GatedEngine):
    """Refuses a token of the vocabulary, whichever chunk brings it."""

    refused = 99

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        if any(self.refused in chunk.tokens for chunk in chunks):
            raise EngineError("token 99 is not to my taste", "Take another one.")
        return super().forward(chunks)


def test_a_request_that_the_engine_refuses_harms_no_other_in_its_step(byte_level: Tokenizer) -> None:
    engine = PickyEngine(VOCAB_SIZE)
    model = new_model(engine, byte_level)
    good = model.stream(PROMPT, SHORT)
    engine.wait_for_pass(1)
    bad, other = model.stream([5, 99, 6], SHORT), model.stream([5, 98, 6], SHORT)
    engine.open_gate()
    with pytest.raises(EngineError, match="taste"):
        bad.read()
    assert (good.read(), other.read()) == (alone(byte_level, PROMPT), alone(byte_level, [5, 98, 6]))


def test_a_closed_model_ends_all_requests_and_refuses_new_ones(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=1)
    model = new_model(engine, byte_level)
    running, waiting = model.stream(PROMPT, LONG), model.submit_score(PROMPT, [[3]])
    engine.let(3)
    engine.wait_for_pass(4)
    closing = threading.Thread(target=model.close)
    closing.start()
    with pytest.raises(EngineError, match="closed"):
        submit_until_refused(model)
    assert closing.is_alive(), "the step still runs"
    engine.open_gate()
    closing.join(WAIT)
    with pytest.raises(EngineError, match="closed"):
        running.read()
    assert running.text == alone(byte_level, PROMPT, SamplingParams(max_new_tokens=3))
    with pytest.raises(EngineError, match="closed"):
        waiting.result(WAIT)
    with pytest.raises(EngineError, match="closed"):
        engine.length(0)
    model.close()


def submit_until_refused(model: LanguageModel) -> None:
    """The thread that closes the model may not have come to it yet."""
    while True:
        model.stream(PROMPT, SHORT)


def test_the_thread_of_a_closed_model_is_gone(byte_level: Tokenizer) -> None:
    before = set(threading.enumerate())
    model = new_model(ScriptedEngine(VOCAB_SIZE), byte_level)
    model.stream(PROMPT, SHORT).read()
    [thread] = set(threading.enumerate()) - before
    assert thread.name == "edge-autoglm-scheduler"
    model.close()
    assert not thread.is_alive()


def test_no_slot_in_time_is_a_request_error(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=1)
    model = new_model(engine, byte_level, slot_timeout=0.2)
    with model.stream(PROMPT, LONG):
        engine.wait_for_pass(1)
        late, scores = model.stream(PROMPT, SHORT), model.submit_score(PROMPT, [[5]])
        wait_past(0.2)
        engine.let(1)
        with pytest.raises(RequestError, match="1 KV slots became free"):
            late.read()
        with pytest.raises(RequestError, match="1 KV slots became free"):
            scores.result()
    engine.open_gate()
    wait_until(lambda: idle(model))
    assert model.stream(PROMPT, SHORT).read() == alone(byte_level, PROMPT)


def test_more_than_may_wait_are_refused_at_once(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=1)
    model = new_model(engine, byte_level, max_waiting=2)
    running = model.stream(PROMPT, SHORT)
    engine.wait_for_pass(1)
    waiting = [model.stream(PROMPT, SHORT) for _ in range(2)]
    for _ in range(2):
        with pytest.raises(Overloaded, match="2 requests wait already"):
            model.stream(PROMPT, SHORT)
        with pytest.raises(Overloaded, match="2 requests wait already"):
            model.submit_score(PROMPT, [[3]])
    waiting[0].close()
    engine.open_gate()
    assert [stream.read() for stream in (running, waiting[1])] == [alone(byte_level, PROMPT)] * 2
    assert model.stream(PROMPT, SHORT).read() == alone(byte_level, PROMPT)


def test_requests_for_which_there_is_a_free_slot_do_not_count_as_waiting(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=4)
    model = new_model(engine, byte_level, max_waiting=1)
    streams = [model.stream(PROMPT, SHORT)]
    engine.wait_for_pass(1)  # nobody gets a slot until it has run, free ones included
    streams += [model.stream(PROMPT, SHORT) for _ in range(4)]
    with pytest.raises(Overloaded):
        model.stream(PROMPT, SHORT)
    engine.open_gate()
    assert [stream.read() for stream in streams] == [alone(byte_level, PROMPT)] * 5


def test_an_answer_that_comes_too_late_is_an_error(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=1)
    model = new_model(engine, byte_level)
    running = model.stream(PROMPT, LONG, Urgency(deadline=0.2))
    engine.wait_for_pass(1)
    waiting = model.submit_score(PROMPT, [[5]], Urgency(deadline=0.01))
    patient = model.stream(PROMPT, SHORT, Urgency(deadline=1000.0))
    wait_past(0.2)
    engine.let(1)
    with pytest.raises(DeadlineExceeded, match="deadline has passed"):
        running.read()
    with pytest.raises(DeadlineExceeded, match="deadline has passed"):
        waiting.result()
    engine.open_gate()
    assert patient.read() == alone(byte_level, PROMPT)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_deadlines_lie_ahead(seconds: float) -> None:
    with pytest.raises(RequestError, match="deadline is"):
        Urgency(Priority.NORMAL, seconds)


def test_an_error_reaches_a_reader_in_an_event_loop_once(byte_level: Tokenizer) -> None:
    engine = FailingEngine(VOCAB_SIZE)
    engine.calls_left = 2
    stream = new_model(engine, byte_level).stream(PROMPT, LONG)

    async def read() -> list[str]:
        return [piece async for piece in stream]

    with pytest.raises(EdgeAutoGLMError, match="device"):
        asyncio.run(read())
    assert asyncio.run(read()) == []


def test_an_event_loop_that_is_gone_does_not_end_the_request(byte_level: Tokenizer) -> None:
    engine = GatedEngine(VOCAB_SIZE)
    model = new_model(engine, byte_level)
    stream = model.stream(PROMPT, SHORT)

    async def give_up() -> None:
        reader = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)  # it waits now
        reader.cancel()

    asyncio.run(give_up())
    engine.open_gate()
    assert stream.read() == alone(byte_level, PROMPT)
    assert stream.finish_reason == "length"
