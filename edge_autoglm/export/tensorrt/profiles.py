"""The shapes that a plan is built for.

An engine runs steps of two shapes (``runtime.engines.standard.sizes``), and of each only the live length T varies. A
plan has a profile for each, with nothing else left open: with free rows, tokens and chosen positions, the plan of
SmolLM2-135M in int8 is 7 % larger.

What a profile may not fix:

- B and S, or N, to 1. Then TensorRT writes weights out as float16 in every step. Where one row decodes, the profile
  takes two as well.
- T. Then TensorRT copies the keys of the whole cache in every step, instead of adding to them in place. Where there is
  one live length, the profile takes half of it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_autoglm.errors import ExportError
from edge_autoglm.runtime.engines.standard.sizes import StepShape, StepSizes


@dataclass(frozen=True, slots=True)
class StepProfile:
    """Shapes between two others.

    Attributes:
        least: Also the one that TensorRT tunes for: most prompts are short.
        most: In every dimension at least as much.
    """

    least: StepShape
    most: StepShape


def step_profiles(sizes: StepSizes, columns: int) -> tuple[StepProfile, StepProfile]:
    """Profiles of prefill and decode, in this order, for a cache of so many columns.

    Raises:
        ExportError: The cache does not divide into pages, so that the last one would be written behind its end.
    """
    if columns % sizes.page:
        raise ExportError(
            f"the graph's cache of {columns} columns does not divide into pages of {sizes.page}",
            "Export the model again, with these sizes.",
        )
    live = min(sizes.live_lengths(columns)[0], columns // 2)
    prefill = StepShape(rows=1, tokens=sizes.page, live=live, wanted=sizes.head_rows)
    decode = StepShape(rows=sizes.rows, tokens=1, live=live, wanted=sizes.rows)
    return _up_to(columns, prefill), _up_to(columns, decode)


def add_profile(builder: Any, network: Any, config: Any, profile: StepProfile) -> None:
    """Let a plan run the shapes of a profile.

    Raises:
        ExportError: TensorRT finds it inconsistent with the network.
    """
    added = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes = (profile.least, profile.least, profile.most)
        added.set_shape(tensor.name, *(input_shape(tensor.name, tuple(tensor.shape), shape) for shape in shapes))
    if config.add_optimization_profile(added) < 0:
        raise ExportError(
            f"TensorRT does not take steps from {profile.least} to {profile.most}",
            "Export the model again, with other sizes.",
        )


def input_shape(name: str, declared: Sequence[int], step: StepShape) -> tuple[int, ...]:
    """Shape of one of the graph's inputs in a step; a cache's is the declared one with the step's rows."""
    shapes = {
        "input_ids": (step.rows, step.tokens),
        "position_ids": (step.rows, step.tokens),
        "write_indices": (step.rows,),
        "attn_mask": (step.rows, 1, step.tokens, step.live),
        "logits_at": (step.wanted,),
    }
    return shapes.get(name, (step.rows, *declared[1:]))


def _up_to(columns: int, step: StepShape) -> StepProfile:
    rows = 2 if step.rows * step.tokens == 1 else step.rows
    return StepProfile(step, replace(step, rows=rows, live=columns, wanted=max(step.wanted, 2)))
