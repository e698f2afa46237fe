"""A search on the real model, with the snippets that ship with the package."""

from __future__ import annotations

import pytest

from edge_autoglm import Bundle, EvolveSettings, PromptOptimizer
from edge_autoglm.demo.snippets import load_snippets
from edge_autoglm.prompts.rewrite import Labelled


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_a_search_beats_plain_on_examples_that_it_never_saw(smollm2_int8: Bundle) -> None:
    snippets = [each for each in load_snippets(800, seed=5) if each.domain == "movies"][:300]
    examples = [Labelled({"text": each.text}, each.label) for each in snippets]
    settings = EvolveSettings(budget=2000, seed=1)
    report = PromptOptimizer(smollm2_int8, "sentiment", settings).evolve(examples).report
    best = report.variants[0]
    assert report.calls["total"] <= 2000
    assert best.test is not None
    assert best.test.over_plain is not None
    assert best.test.over_plain.low > 0
