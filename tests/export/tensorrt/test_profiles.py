"""Every step of the engine lies within its profile, and no profile is one that TensorRT compiles badly."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.device.tensorrt_log import tensorrt_log
from edge_autoglm.errors import ExportError
from edge_autoglm.export.tensorrt.profiles import StepProfile, add_profile, input_shape, step_profiles
from edge_autoglm.runtime.engines.standard.sizes import StepShape, StepSizes
from tests.export.tensorrt.builds import rtx

SIZES = st.builds(
    StepSizes, rows=st.integers(1, 16), page=st.sampled_from([16, 64, 128, 512]), head_rows=st.integers(1, 64)
)


@given(SIZES, st.integers(1, 5000))
def test_every_step_of_the_engine_lies_within_its_profile(sizes: StepSizes, capacity: int) -> None:
    columns = sizes.columns(capacity)
    prefill, decode = step_profiles(sizes, columns)
    for live in sizes.live_lengths(columns):
        steps = {
            StepShape(1, sizes.page, live, sizes.head_rows): prefill,
            StepShape(sizes.rows, 1, live, sizes.rows): decode,
        }
        for step, profile in steps.items():
            bounds = zip(astuple(profile.least), astuple(step), astuple(profile.most), strict=True)
            assert all(least <= here <= most for least, here, most in bounds)


@given(SIZES, st.integers(1, 5000))
def test_no_profile_fixes_what_it_may_not(sizes: StepSizes, capacity: int) -> None:
    for profile in step_profiles(sizes, sizes.columns(capacity)):
        assert profile.least.live < profile.most.live
        assert profile.most.rows * profile.most.tokens > 1
        assert profile.most.wanted > 1


def test_shapes_of_the_inputs_are_those_of_the_graph() -> None:
    step = StepShape(rows=4, tokens=16, live=32, wanted=8)
    assert input_shape("input_ids", (-1, -1), step) == (4, 16)
    assert input_shape("position_ids", (-1, -1), step) == (4, 16)
    assert input_shape("write_indices", (-1,), step) == (4,)
    assert input_shape("attn_mask", (-1, 1, -1, -1), step) == (4, 1, 16, 32)
    assert input_shape("logits_at", (-1,), step) == (8,)
    assert input_shape("past_key.0", (-1, 2, 64, 24), step) == (4, 2, 64, 24)


def test_shapes_that_tensorrt_finds_inconsistent_are_named() -> None:
    library = rtx()
    builder = library.module.Builder(tensorrt_log(library).logger)
    network = builder.create_network(0)
    network.add_input("input_ids", library.module.int64, (-1, -1))
    step = StepShape(rows=4, tokens=1, live=32, wanted=4)
    backwards = StepProfile(step, replace(step, rows=2))
    with pytest.raises(ExportError, match="does not take steps from StepShape"):
        add_profile(builder, network, builder.create_builder_config(), backwards)


def test_a_cache_that_its_pages_do_not_divide_is_refused() -> None:
    with pytest.raises(ExportError, match="cache of 200 columns does not divide into pages of 128"):
        step_profiles(StepSizes(page=128), 200)
