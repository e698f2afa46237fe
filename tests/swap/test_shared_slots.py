"""Generations over the same weights decode in one batch: a swap takes no slots, and no stream waits for another's."""

from __future__ import annotations

from edge_autoglm import SamplingParams, Swapped
from tests.facade.scripted import gated, open_scripted
from tests.swap.world import lookalike, make_model, next_generation

PROMPTS = ("One text.", "Quite another text.")
SHORT = SamplingParams(max_new_tokens=12)


def test_streams_from_before_and_after_a_swap_share_the_steps() -> None:
    engine = gated()
    with open_scripted(engine) as runtime:
        alone = [runtime.generate(prompt, max_new_tokens=12).text for prompt in PROMPTS]
        engine.hold()
        seen = len(engine.passes)
        before = runtime.generate_stream(PROMPTS[0], SHORT)
        engine.wait_for_pass(seen + 1)
        assert isinstance(runtime.learner.promote(), Swapped)
        after = runtime.generate_stream(PROMPTS[1], SHORT)
        engine.open_gate()
        assert ["".join(before), "".join(after)] == alone
        assert max(map(len, engine.passes[seen:])) == 2


def test_a_generation_brought_back_goes_on_in_the_shared_slots() -> None:
    with open_scripted(gated()) as runtime:
        first = runtime._buffer.active.model
        expected = runtime.generate(PROMPTS[0], max_new_tokens=12).text
        for _ in range(3):  # the first generation is freed by the third
            assert isinstance(runtime.learner.promote(), Swapped)
            assert runtime._buffer.active.model.engine is first.engine
        runtime.learner.rollback()
        assert runtime._buffer.active.model.engine is first.engine
        assert runtime.generate(PROMPTS[0], max_new_tokens=12).text == expected


def test_another_model_has_slots_of_its_own() -> None:
    with open_scripted(gated()) as runtime:
        first = runtime._buffer.active.model
        other = make_model(lookalike())
        assert isinstance(
            runtime._swapper.submit(lambda active: next_generation(active, model=other)).result(30), Swapped
        )
        assert runtime._buffer.active.model.scheduler is other.scheduler is not first.scheduler
