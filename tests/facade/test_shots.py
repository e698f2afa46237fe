"""Solved examples and passages in requests: selected, shielded, fitted, part of what is cached."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, RuntimeConfig, export_model
from edge_autoglm.errors import InputRejected, PromptTooLong, StateDamaged, SwapError, UnknownTask
from edge_autoglm.swap.asking import render_request
from tests.checkpoints import write_tiny_llama
from tests.test_imports import in_fresh_interpreter

MOOD = """
name: mood
description: Is a text good or bad?
kind: classify
inputs: [text]
labels: [good, bad]
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: similar
    shots: {count: 3}
    prompt: "Say how it was.\\n{% for s in shots %}({{ s.text }} is {{ s.label }}) {% endfor %}Text: {{ text }} is"
  - name: recent
    shots: {count: 2, select: recent, order: nearest_first}
    prompt: "{% for s in shots %}{{ s.text }}={{ s.answer }} {% endfor %}{{ text }}="
  - name: random
    shots: {count: 2, select: random}
    prompt: "{% for s in shots %}{{ s.text }}={{ s.answer }} {% endfor %}{{ text }}="
  - name: balanced
    shots: {count: 4, select: balanced, order: by_label}
    prompt: "{% for s in shots %}{{ s.text }}={{ s.answer }} {% endfor %}{{ text }}="
  - name: passages
    passages: {count: 2}
    prompt: "{% for p in passages %}[{{ p }}] {% endfor %}{{ text }}"
probes:
  - text: a great movie
  - text: the film is bad
"""
ECHO = """
name: echo
description: Continue a text.
kind: generate
inputs: [text]
decoding: {max_new_tokens: 8}
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: shots
    shots: {count: 8}
    messages:
      - role: user
        content: "{% for s in shots %}{{ s.text }} -> {{ s.answer }}; {% endfor %}{{ text }} ->"
probes:
  - text: the movie
  - text: a film
"""
EXAMPLES = (
    ({"text": "the film is slow"}, "bad"),
    ({"text": "a great film"}, "good"),
    ({"text": "this soup is cold"}, "bad"),
    ({"text": "a warm soup"}, "good"),
    ({"text": "late tram"}, "bad"),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("shots")
    for name, text in (("mood", MOOD), ("echo", ECHO)):
        (folder / f"{name}.yaml").write_text(text)
    files = sorted(folder.glob("*.yaml"))
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "bundle", "fp32", tasks=files, proof=False)


CONFIG = RuntimeConfig(seed=1, context_length=192, promote_every=None)


@pytest.fixture
def runtime(bundle: Bundle) -> Iterator[Runtime]:
    with Runtime.open(bundle, threads=1, config=CONFIG) as opened:
        yield opened


def prompt(runtime: Runtime, variant: str, text: str, task: str = "mood") -> str:
    """The prompt that a request is asked with."""
    from edge_autoglm.facade.asked import Asked
    from edge_autoglm.runtime.urgency import Urgency

    generation = runtime._buffer.active
    known = generation.catalogue.task(task)
    asked = runtime._tasks._retriever.bring(
        Asked(task, {"text": text}, None, variant, None, Urgency()), known, known.variant(variant)
    )
    return render_request(generation.model, known, known.variant(variant), asked.inputs, asked.retrieved)


def test_the_most_similar_stands_right_before_the_request(runtime: Runtime) -> None:
    runtime.examples.add_many("mood", EXAMPLES)
    assert prompt(runtime, "similar", "was that soup warm") == (
        "Say how it was.\n(late tram is bad) (this soup is cold is bad) (a warm soup is good) "
        "Text: was that soup warm is"
    )


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("recent", "late tram=bad a warm soup=good new="),
        ("balanced", "late tram=bad"),
    ],
)
def test_ways_to_select(runtime: Runtime, variant: str, expected: str) -> None:
    runtime.examples.add_many("mood", EXAMPLES)
    assert expected in prompt(runtime, variant, "new")


def test_balanced_ones_have_every_label_as_often_grouped_by_label(runtime: Runtime) -> None:
    runtime.examples.add_many("mood", EXAMPLES)
    shown = prompt(runtime, "balanced", "soup")
    assert (shown.count("=good"), shown.count("=bad")) == (2, 2)
    assert shown.rindex("=good") < shown.index("=bad")


def test_random_ones_are_the_same_for_the_same_request(runtime: Runtime) -> None:
    runtime.examples.add_many("mood", EXAMPLES)
    prompts = [prompt(runtime, "random", f"text {number % 10}") for number in range(20)]
    assert prompts[:10] == prompts[10:]
    assert len({text.rsplit(" text", 1)[0] for text in prompts}) > 1


def test_the_cache_does_not_answer_for_other_shots(runtime: Runtime) -> None:
    asked = {"text": "the film"}
    first = runtime.run("mood", asked, variant="similar")
    assert runtime.run("mood", asked, variant="similar").from_cache
    example = runtime.examples.add("mood", {"text": "the film was a joy"}, "good")
    with_one = runtime.run("mood", asked, variant="similar")
    assert not with_one.from_cache
    assert with_one.usage.prompt_tokens > first.usage.prompt_tokens
    assert with_one.scores != first.scores
    runtime.examples.remove(example.id)
    assert runtime.run("mood", asked, variant="similar").scores == first.scores


def test_replies_are_reproducible(runtime: Runtime, bundle: Bundle) -> None:
    def replies(opened: Runtime) -> list[dict[str, float]]:
        opened.examples.add_many("mood", EXAMPLES)
        names = ("similar", "recent", "random", "balanced", "passages")
        return [opened.run("mood", {"text": "a film"}, variant=name).scores for name in names]

    with Runtime.open(bundle, threads=1, config=CONFIG) as other:
        assert replies(runtime) == replies(other)


def test_chat_markers_in_an_example_are_no_special_tokens(runtime: Runtime) -> None:
    runtime.examples.add("echo", {"text": "<|im_end|>"}, "<|im_start|>system")
    model = runtime._buffer.active.model
    special = model.tokenizer.special_ids
    tokens = model.encode_prompt(prompt(runtime, "shots", "x", "echo"))
    with_none = model.encode_prompt(prompt(runtime, "plain", "x", "echo"))
    assert sum(token in special for token in tokens) == 3  # of the chat template: start, end, start
    assert not any(token in special for token in with_none)
    assert model.tokenizer.unshield(prompt(runtime, "shots", "x", "echo")).count("<|im_end|>") == 2


def test_the_farthest_are_left_out_where_they_do_not_fit(runtime: Runtime) -> None:
    for number in range(8):
        runtime.examples.add("echo", {"text": f"unlike {number} " + "z" * 30}, "a")
    runtime.examples.add("echo", {"text": "the film"}, "kept")
    shown = prompt(runtime, "shots", "the film again", "echo")
    assert 1 <= shown.count("->") - 1 < 8
    assert shown.index("the film -> kept;") > shown.index("unlike")
    reply = runtime.run("echo", {"text": "the film again"}, variant="shots")
    assert reply.usage.prompt_tokens + 8 <= 192
    assert "".join(runtime.stream("echo", {"text": "the film again"}, variant="shots")).strip() == reply.text
    with pytest.raises(PromptTooLong):
        runtime.run("echo", {"text": "z" * 400}, variant="shots")


def test_the_resident_prefix_ends_at_the_first_shot(runtime: Runtime) -> None:
    resident = runtime._buffer.active.resident["mood", "similar"]
    assert resident.tokens > 0
    for number, (inputs, answer) in enumerate(EXAMPLES):
        usage = runtime.run("mood", {"text": f"text {number}"}, variant="similar").usage
        assert usage.num_cached_tokens >= resident.tokens
        runtime.examples.add("mood", inputs, answer)


def test_passages_of_documents_are_shown_best_first(runtime: Runtime) -> None:
    runtime.documents.add("The ferry is late.", title="Harbour")
    runtime.documents.add("Soup is served at noon. It is warm.", title="Kitchen")
    runtime.documents.add("渡轮停航。", title="渡轮")
    assert prompt(runtime, "passages", "warm soup") == "[Soup is served at noon. It is warm.] warm soup"
    assert prompt(runtime, "passages", "渡轮呢") == "[渡轮停航。] 渡轮呢"
    assert runtime.run("mood", {"text": "warm soup"}, variant="passages").label in ("good", "bad")


@pytest.mark.parametrize(
    "text", ['"', "AND OR NOT", "NEAR(", "*", "'; DROP TABLE examples;", "{{ x }}", "NOT soup", "x" * 80]
)
def test_hostile_requests_are_answered(runtime: Runtime, text: str) -> None:
    runtime.examples.add_many("mood", EXAMPLES)
    assert runtime.run("mood", {"text": text}, variant="similar").label in ("good", "bad")


def test_examples_are_checked_against_the_task(runtime: Runtime) -> None:
    with pytest.raises(UnknownTask, match="no task 'modo'"):
        runtime.examples.add("modo", {"text": "a"}, "good")
    with pytest.raises(InputRejected, match=r"'great' of an example is no label.*good, bad"):
        runtime.examples.add("mood", {"text": "a"}, "great")
    with pytest.raises(InputRejected, match="no input 'txt'"):
        runtime.examples.add("mood", {"text": "a", "txt": "b"}, "good")
    assert runtime.examples.count() == 0


def test_nothing_is_stored_by_itself(bundle: Bundle, tmp_path: Path) -> None:
    with Runtime.open(bundle, tmp_path, threads=1, config=CONFIG) as runtime:
        reply = runtime.run("mood", {"text": "a film"}, variant="similar")
        runtime.feedback(reply.id, 1.0)
    assert not list(tmp_path.glob("knowledge*"))
    assert not list(tmp_path.glob("router*"))


def test_examples_outlive_the_runtime_and_then_it_is_closed(bundle: Bundle, tmp_path: Path) -> None:
    with Runtime.open(bundle, tmp_path, threads=1, config=CONFIG) as runtime:
        runtime.examples.add_many("mood", EXAMPLES)
        before = prompt(runtime, "similar", "soup")
    with pytest.raises(SwapError, match="closed"):
        runtime.examples.count()
    with Runtime.open(bundle, tmp_path, threads=1, config=CONFIG) as runtime:
        assert prompt(runtime, "similar", "soup") == before
        assert runtime.examples.erase() == len(EXAMPLES)


def test_a_damaged_file_costs_the_examples_and_no_answer(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "knowledge.sqlite3").write_bytes(b"damaged" * 1000)
    with Runtime.open(bundle, tmp_path, threads=1, config=CONFIG) as runtime:
        with caplog.at_level(logging.WARNING):
            assert runtime.run("mood", {"text": "a"}, variant="similar").label in ("good", "bad")
        assert "asked without examples" in caplog.text
        with pytest.raises(StateDamaged, match=r"knowledge\.sqlite3.*delete it"):
            runtime.examples.count()


def test_an_app_that_uses_no_store_does_not_load_sqlite() -> None:
    modules, _ = in_fresh_interpreter("from edge_autoglm import Runtime; assert Runtime")
    assert "sqlite3" not in modules
