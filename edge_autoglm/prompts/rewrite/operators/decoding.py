"""How an answer is decoded; for tasks that generate text."""

from __future__ import annotations

import random
from collections.abc import Iterator

from edge_autoglm.prompts.rewrite.compose import distinct, with_sampling
from edge_autoglm.prompts.rewrite.draft import Draft, Material, Step

_SETTINGS: tuple[dict[str, object], ...] = (
    {"temperature": 0.0, "top_p": 1.0, "min_p": 0.0},
    {"temperature": 0.3, "seed": 7},
    {"temperature": 0.7, "top_p": 0.9, "seed": 7},
    {"temperature": 0.7, "min_p": 0.05, "seed": 7},
    {"repetition_penalty": 1.0},
    {"repetition_penalty": 1.1},
    {"repetition_penalty": 1.2},
)
"""With a seed, so that the same request gets the same answer."""


class Decoding:
    """Temperature, penalty, length and stop texts."""

    name = "decoding"

    def proposals(self, draft: Draft, material: Material, rng: random.Random) -> Iterator[Draft]:
        """See `Operator`."""
        if material.task.kind != "generate":
            return iter(())
        options = [*_SETTINGS, *_lengths(draft), *_stops(draft)]
        rng.shuffle(options)
        return distinct(
            draft, (with_sampling(draft, material, Step(self.name, _detail(each)), **each) for each in options)
        )


def _lengths(draft: Draft) -> list[dict[str, object]]:
    tokens = draft.variant.sampling.max_new_tokens
    return [{"max_new_tokens": max(8, tokens // 2)}, {"max_new_tokens": min(1024, tokens * 2)}]


def _stops(draft: Draft) -> list[dict[str, object]]:
    """Answers of one line, unless they reason."""
    return [] if draft.form is not None and draft.form.method else [{"stop": ("\n",)}, {"stop": ("\n\n",)}]


def _detail(settings: dict[str, object]) -> str:
    return ", ".join(f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in settings.items())
