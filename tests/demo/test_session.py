"""The demo's request loop, on a tiny random model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, RuntimeConfig, export_model
from edge_autoglm.demo.measure import accuracy_alone, measure_decode_speed, measure_first_token
from edge_autoglm.demo.session import TASK, PlannedSwap, answer_all
from edge_autoglm.demo.snippets import Snippet
from edge_autoglm.demo.timeline import Answered, SwapWindow
from tests.checkpoints import write_tiny_llama

PREFIX = "Is this text good or bad? Think of the film and of nothing else."
TASK_FILE = f"""
name: sentiment
description: Is a text positive or negative?
kind: classify
inputs: [text]
labels: [positive, negative]
variants:
  - {{name: plain, prompt: "{{{{ text }}}}"}}
  - {{name: question, prompt: "{PREFIX} {{{{ text }}}}"}}
probes:
  - {{text: good}}
  - {{text: bad}}
"""
SNIPPETS = [
    Snippet(f"a {word} film {number}", "positive", "movies") for number in range(12) for word in ("good", "bad")
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("session")
    (folder / "sentiment.yaml").write_text(TASK_FILE)
    write_tiny_llama(folder / "tiny")
    return export_model(
        folder / "tiny", folder / "tiny.bundle", precision="fp32", tasks=[folder / "sentiment.yaml"], proof=False
    )


@pytest.fixture
def runtime(bundle: Bundle) -> Runtime:
    return Runtime.open(bundle, config=RuntimeConfig(seed=0, promote_every=None))


def test_every_snippet_is_answered_while_generations_change(bundle: Bundle, runtime: Runtime, tmp_path: Path) -> None:
    more = tmp_path / "sentiment.yaml"
    more.write_text(TASK_FILE.replace("probes:", '  - {name: third, prompt: "Text: {{ text }}\\n"}\nprobes:'))
    extended = bundle.derive(tmp_path / "more.bundle", [more])
    planned = [
        PlannedSwap(4, "policy", runtime.learner.promote),
        PlannedSwap(8, "prompts", lambda: runtime.swap(extended)),
        PlannedSwap(8, "policy", runtime.learner.promote),
    ]
    answered: list[Answered] = []
    swapped: list[SwapWindow] = []
    with runtime:
        timeline = answer_all(runtime, SNIPPETS, planned, answered.append, swapped.append)
        variants = runtime.tasks[TASK]
        status = runtime.learner.status()

    assert timeline.failures == ()
    assert list(timeline.answers) == answered
    assert len(answered) == len(SNIPPETS)
    assert status.feedbacks == len(SNIPPETS)
    assert [swap.kind for swap in timeline.swaps] == ["policy", "prompts", "policy"]
    assert list(timeline.swaps) == swapped
    assert [swap.generation for swap in timeline.swaps] == [2, 3, 4]
    assert variants == ("plain", "question", "third")


def test_a_request_that_fails_is_counted_and_the_rest_goes_on(runtime: Runtime) -> None:
    too_long = Snippet("bad " * 600, "negative", "movies")
    with runtime:
        timeline = answer_all(runtime, [SNIPPETS[0], too_long, SNIPPETS[1]], [], lambda _: None, lambda _: None)
    assert len(timeline.answers) == 2
    assert len(timeline.failures) == 1


def test_measuring_alone_gives_no_feedback_and_counts_right_labels(runtime: Runtime) -> None:
    calls: list[None] = []
    with runtime:
        label = runtime.run(TASK, {"text": "good"}, variant="plain").label
        assert label is not None
        other = {"positive": "negative", "negative": "positive"}[label]
        snippets = [Snippet("good", label, "movies"), Snippet("good", other, "movies")]
        assert accuracy_alone(runtime, "plain", snippets, lambda: calls.append(None)) == 0.5
        assert runtime.learner.status().feedbacks == 0
    assert len(calls) == 2


def test_the_cold_twin_of_a_prompt_finds_nothing_resident(runtime: Runtime) -> None:
    with runtime:
        first = measure_first_token(runtime, PREFIX, [" good film", " bad film"])
        assert 0 < first.cached_tokens < first.prompt_tokens
        cold = runtime.generate(f"7 {PREFIX} good film", max_new_tokens=1)
        assert cold.usage.num_cached_tokens == 0


def test_decode_speed_is_a_number(runtime: Runtime) -> None:
    with runtime:
        assert measure_decode_speed(runtime, repeats=1) > 0
