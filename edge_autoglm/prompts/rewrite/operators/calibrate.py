"""Label-prior calibration: asks for priors, which whoever runs the model estimates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from edge_autoglm.prompts.rewrite.compose import named
from edge_autoglm.prompts.rewrite.draft import Draft, Material, Priors, Step


class Calibrate:
    """Takes label priors off the scores; the draft ``wants`` them until it is ``settled``."""

    name = "calibrate"

    def proposals(self, draft: Draft, material: Material, rng: random.Random) -> Iterator[Draft]:
        """See `Operator`."""
        if material.task.kind != "classify":
            return iter(())
        ways: list[Priors] = [way for way in get_args(Priors) if way != draft.priors]
        rng.shuffle(ways)
        return (self._asking(draft, way) for way in ways)

    def _asking(self, draft: Draft, way: Priors) -> Draft:
        steps = (*draft.steps, Step(self.name, way))
        return replace(draft, variant=named(replace(draft.variant, calibration={}), steps), steps=steps, priors=way)
