"""TensorRT's nested phases become one bar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.export.tensorrt.monitor import WHOLE, BuildBar

LONGEST = "Computing profile costs"
NAMES = st.sampled_from(["Building engine", "Optimizing graph", "Timing tactics", LONGEST])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), NAMES, st.none() | NAMES, st.integers(1, 20)),
        st.tuples(st.just("step"), NAMES, st.integers(0, 30)),
        st.tuples(st.just("finish"), NAMES),
    )
)


@given(EVENTS)
def test_the_bar_never_goes_back_nor_beyond_its_end(events: list[tuple[object, ...]]) -> None:
    bar, before = BuildBar(), 0
    for name, *arguments in events:
        getattr(bar, str(name))(*arguments)
        assert before <= bar.reached <= WHOLE
        before = bar.reached


def test_a_phase_within_another_is_a_part_of_its_step() -> None:
    bar = BuildBar()
    bar.start(LONGEST, None, 2)
    bar.step(LONGEST, 0)
    half = bar.reached
    bar.start("inner", LONGEST, 3)
    bar.step("inner", 0)
    assert bar.reached - half == (WHOLE - half) // 3
    bar.step("inner", 2)
    bar.finish("inner")
    assert bar.reached == WHOLE


def test_a_step_ends_what_was_within_it_though_tensorrt_does_not_say_so() -> None:
    bar = BuildBar()
    bar.start(LONGEST, None, 4)
    bar.start("inner", LONGEST, 1)
    bar.step("inner", 0)
    quarter = bar.reached
    bar.step(LONGEST, 0)
    assert bar.reached == quarter


def test_the_longest_phase_has_most_of_the_bar() -> None:
    bar = BuildBar()
    bar.start("Building engine", None, 1)
    bar.step("Building engine", 0)
    assert bar.reached == WHOLE // 10
    bar.start(LONGEST, "Building engine", 2)
    bar.step(LONGEST, 0)
    assert WHOLE // 2 < bar.reached < WHOLE
    bar.step(LONGEST, 1)
    assert bar.reached == WHOLE
